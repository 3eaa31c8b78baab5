#include <tapegrad/autograd/inspect/timeline/init_report.h>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/layer.h>

#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {
using namespace nn;
namespace {

/// N(0, 1) is promised, `scale` times too much is delivered.
Initializer promise(double scale) {
  return {[scale](Tensor& values, RandomKey key) {
            for (Index i = 0; i < values.size(); ++i)
              values.data<double>()[i] =
                  scale * std::sqrt(12.0) * (uniform01(key, static_cast<std::uint64_t>(i)) - 0.5);
          },
          [](const Shape&) {
            return InitialRule{"N(0, 1)", 0, 1};
          }};
}

struct Scaled : Layer<Scaled> {
  Scaled(const Scope& scope, double initial_scale, double factor_)
      : Layer(scope), weight(scope.parameter("weight", {40, 40}, promise(initial_scale))), factor(factor_) {}
  Var forward(const Var& x) const { return matmul(x, x.tape()[weight]) * factor; }
  Parameter weight;
  double factor;
};

struct Net {
  ParameterStore params{3, DType::f64};
  std::vector<Scaled> layers;
  explicit Net(const std::vector<double>& factors, double initial_scale = 1) {
    for (std::size_t i = 0; i < factors.size(); ++i)
      layers.emplace_back(params.root() / "layers" / static_cast<Index>(i), initial_scale,
                          factors[i] / std::sqrt(40.0));
  }
  InitReport report() const {
    return init_report(params, [&](Tape& tape) {
      Tensor input({50, 40}, DType::f64);
      promise(1)(input, random_key(7, 0, 0, 0));
      Var x = tape.constant(input);
      for (const Scaled& layer : layers) x = layer(x);
      return mean(x * x);
    });
  }
};

double deviation(const Tensor& x) {
  double mean = 0, squares = 0;
  for (const double v : x.to_vector()) mean += v / static_cast<double>(x.size());
  for (const double v : x.to_vector()) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / static_cast<double>(x.size()));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(initialisation)

BOOST_AUTO_TEST_CASE(parameters_and_signals_are_measured) {
  const Net net({1, 2, 1});
  const InitReport report = net.report();
  BOOST_TEST(report.warnings.empty());
  BOOST_TEST_REQUIRE(report.parameters.size() == 3U);
  BOOST_TEST(report.parameters[1].name == "layers.1.weight");
  BOOST_TEST(report.parameters[1].rule == "N(0, 1)");
  BOOST_TEST(report.parameters[1].promised == 1.0);
  BOOST_TEST(report.parameters[1].deviation == deviation(net.layers[1].weight.value()),
             boost::test_tools::tolerance(1e-12));

  BOOST_TEST_REQUIRE(report.layers.size() == 3U);
  Tape tape({.dtype = DType::f64});
  Tensor input({50, 40}, DType::f64);
  promise(1)(input, random_key(7, 0, 0, 0));
  const Var a = net.layers[0](tape.constant(input)), b = net.layers[1](a), c = net.layers[2](b);
  const Gradients gradients = tape.backward(mean(c * c));
  const Var results[] = {a, b, c};
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(report.layers[i].path == fmt::format("layers.{}", i));
    BOOST_TEST(report.layers[i].activation == deviation(results[i].value()),
               boost::test_tools::tolerance(1e-12));
    BOOST_TEST(report.layers[i].gradient == deviation(gradients[results[i]]),
               boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(what_vanishes_or_explodes_is_named) {
  const InitReport report = Net({1, 1, 1, 1e-4}).report();
  BOOST_TEST_REQUIRE(report.warnings.size() == 2U);
  BOOST_TEST(report.warnings[0].starts_with("vanishing activation in layers.3: deviation "),
             report.warnings[0]);
  BOOST_TEST(report.warnings[1].starts_with("exploding gradient in layers.3: "), report.warnings[1]);
  const InitReport infinite = Net({1, 1, 1, 1e300}, 1e150).report();
  BOOST_TEST(std::count(infinite.warnings.begin(), infinite.warnings.end(),
                        "activation of layers.3 is not finite") == 1);
}

BOOST_AUTO_TEST_CASE(a_parameter_off_its_rule_is_named) {
  const InitReport report = Net({1, 1}, 1.5).report();
  BOOST_TEST_REQUIRE(report.warnings.size() == 2U);
  BOOST_TEST(report.warnings[0].starts_with("layers.0.weight: deviation 1."), report.warnings[0]);
  BOOST_TEST(report.warnings[0].ends_with(", but its rule N(0, 1) promises 1"), report.warnings[0]);
}

BOOST_AUTO_TEST_CASE(like_layers_share_a_row_of_the_text) {
  const std::string text = to_text(Net({1, 1, 1, 1e-4}).report());
  BOOST_TEST(text.find("\nlayers.*.weight  [40, 40]  ") != std::string::npos, text);
  BOOST_TEST(text.find("\nlayers.*  [50, 40]  ") != std::string::npos, text);
  BOOST_TEST(text.find("\nwarning: vanishing activation in layers.3: ") != std::string::npos, text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
