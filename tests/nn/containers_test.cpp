#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/ops/activation.h>
#include <tapegrad/nn/containers.h>
#include <tapegrad/nn/linear.h>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

std::vector<std::string> paths(const ParameterStore& params) {
  std::vector<std::string> result;
  for (const Parameter& p : params) result.push_back(p.path());
  return result;
}

Sequential small_net(const Scope& scope) {
  Sequential net(scope);
  net.add<Linear>(2, 3).add([](const Var& x) { return relu(x); }).add<Linear>(3, 1);
  return net;
}

/// A user's layer: paths and hooks come with no line of its own.
struct Twice : Layer<Twice> {
  Twice(const Scope& scope, Index width) : Layer(scope), inner(scope / "inner", width, width) {}
  Var forward(const Var& x) const { return inner(inner(x)); }
  Linear inner;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(containers)

BOOST_AUTO_TEST_CASE(sequential_names_by_place_and_runs_in_order) {
  ParameterStore params(1, DType::f64);
  const Sequential net = small_net(params.root() / "net");
  BOOST_TEST(
      paths(params) == (std::vector<std::string>{"net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"}),
      boost::test_tools::per_element());
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(Tensor::of({{1, -2}, {0.5, 3}}, DType::f64));
  const Linear first(Scope(params, "other") / "0", 2, 3), last(Scope(params, "other") / "2", 3, 1);
  first.weight.assign(params.at("net.0.weight").value());
  first.bias.assign(params.at("net.0.bias").value());
  last.weight.assign(params.at("net.2.weight").value());
  last.bias.assign(params.at("net.2.bias").value());
  BOOST_TEST(identical(net(x).value().clone(), last(relu(first(x))).value().clone()));
}

BOOST_AUTO_TEST_CASE(an_error_inside_names_the_innermost_layer) {
  ParameterStore params;
  const Sequential net = small_net(params.root() / "net");
  Tape tape;
  const Var x = tape.constant(Tensor::zeros({1, 5}));
  BOOST_CHECK_EXCEPTION(net(x), Error,
                        [](const Error& e) { return std::string(e.what()).starts_with("net.0: linear: "); });
}

BOOST_AUTO_TEST_CASE(layer_list_builds_each_on_its_own) {
  ParameterStore params(3);
  const LayerList<Linear> layers(params.root() / "layers", 3,
                                 [](const Scope& s, Index) { return Linear(s, 2, 2); });
  BOOST_TEST(layers.size() == 3U);
  BOOST_TEST(paths(params)[4] == "layers.2.weight");
  BOOST_TEST(!identical(layers[0].weight.value(), layers[1].weight.value()));
  BOOST_CHECK_EXCEPTION(
      (LayerList<Linear>(params.root() / "none", -1, [](const Scope& s, Index) { return Linear(s, 2, 2); })),
      Error, [](const Error& e) {
        return e.what() == std::string("none: -1 layers; the number must not be negative");
      });
}

BOOST_AUTO_TEST_CASE(any_layer_moves_and_forgets_the_type) {
  ParameterStore params(3);
  std::vector<AnyLayer> layers;
  layers.emplace_back(Twice(params.root() / "twice", 2));
  layers.emplace_back([](const Var& x) { return relu(x); });
  static_assert(!std::is_copy_constructible_v<AnyLayer>);
  Tape tape;
  const Var x = tape.constant(Tensor::full({1, 2}, 1));
  BOOST_TEST(layers[1](layers[0](x)).shape() == (Shape{1, 2}));
}

BOOST_AUTO_TEST_CASE(hooks_run_after_layers_whose_path_matches) {
  ParameterStore params(3);
  const Twice twice(params.root() / "encoder" / "twice", 2);
  Tape tape;
  std::vector<std::string> seen;
  tape.observers().on_value("encoder.*", [&](const std::string& path, const Var&) { seen.push_back(path); });
  tape.observers().on_value("decoder.*", [&](const std::string&, const Var&) { seen.push_back("decoder"); });
  const Var x = tape.constant(Tensor::full({1, 2}, 1));
  const Var y = twice(x);
  BOOST_TEST(
      seen == (std::vector<std::string>{"encoder.twice.inner", "encoder.twice.inner", "encoder.twice"}),
      boost::test_tools::per_element());
  tape.observers().remove_value_hooks();
  BOOST_TEST(identical(twice(x).value().clone(), y.value().clone()));
  BOOST_TEST(seen.size() == 3U);
}

BOOST_AUTO_TEST_SUITE_END()
