#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/parameter.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

using test::error_of;

void ones(Tensor& values, RandomKey) { values.fill(1); }
void random(Tensor& values, RandomKey key) { values.fill(uniform01(key, 0)); }

}  // namespace

BOOST_AUTO_TEST_SUITE(parameter)

BOOST_AUTO_TEST_CASE(the_store_is_the_state_dict) {
  ParameterStore store;
  const Scope root = store.root();
  const Parameter w = (root / "encoder" / Index{0}).parameter("weight", {2, 3}, ones);
  const Parameter b = (root / "encoder" / Index{0}).parameter("bias", {2}, ones);
  const Parameter steps = root.buffer("steps", {}, ones);
  BOOST_TEST(w.path() == "encoder.0.weight");
  BOOST_TEST(store.size() == 3u);
  BOOST_TEST(store.begin()->path() == "encoder.0.weight");
  BOOST_TEST(store.trainable_values() == 8);
  BOOST_TEST(steps.is_buffer());
  BOOST_TEST(!steps.trainable());
  BOOST_TEST((store.at("encoder.0.bias") == b));
  BOOST_TEST(!store.find("encoder.1.bias"));
  BOOST_TEST(error_of([&] { store.at("encoder.0.bais"); }) ==
             "parameters: no parameter 'encoder.0.bais'; did you mean 'encoder.0.bias'?");
  BOOST_TEST(error_of([&] { store.at("something else entirely"); }) ==
             "parameters: no parameter 'something else entirely'");
  BOOST_TEST(error_of([&] { root.parameter("steps", {1}, ones); }) ==
             "parameters: 'steps' exists already; every layer needs a scope of its own");
}

BOOST_AUTO_TEST_CASE(a_tie_is_another_name) {
  ParameterStore store, other;
  const Scope root = store.root();
  const Parameter w = (root / "embedding").parameter("weight", {2, 3}, ones);
  BOOST_TEST(((root / "generator").tie("weight", w) == w));
  BOOST_TEST(store.size() == 1u);
  BOOST_TEST_REQUIRE(store.ties().size() == 1u);
  BOOST_TEST(store.ties()[0].path == "generator.weight");
  BOOST_TEST((store.ties()[0].parameter == w));
  BOOST_TEST((store.at("generator.weight") == w));
  store.freeze("generator.*");
  BOOST_TEST(!w.trainable());
  BOOST_TEST(error_of([&] { (root / "generator").parameter("weight", {1}, ones); }) ==
             "parameters: 'generator.weight' exists already; every layer needs a scope of its own");
  BOOST_TEST(error_of([&] { (root / "generator").tie("weight", w); }) ==
             "parameters: 'generator.weight' exists already; every layer needs a scope of its own");
  BOOST_TEST(error_of([&] { (root / "embedding").tie("weight", w); }) ==
             "parameters: 'embedding.weight' exists already; every layer needs a scope of its own");
  BOOST_TEST(error_of([&] { other.tie("weight", w); }) ==
             "parameters: 'weight' can be tied only to a parameter of its own store, 'embedding.weight' is "
             "of another");
  BOOST_TEST(error_of([&] { store.tie("bias", Parameter()); }) ==
             "parameters: 'bias' can be tied only to a parameter of its own store, got an empty one");
  BOOST_TEST(store.ties().size() == 1u);
}

BOOST_AUTO_TEST_CASE(initial_values_depend_on_seed_and_path_alone) {
  ParameterStore a(1), b(1), other(2);
  b.root().parameter("earlier", {1}, random);
  const Parameter p = a.root().parameter("w", {1}, random), q = b.root().parameter("w", {1}, random);
  BOOST_TEST(p.value().item() == q.value().item());
  BOOST_TEST(p.value().item() != other.root().parameter("w", {1}, random).value().item());
  BOOST_TEST(p.value().item() != a.root().parameter("v", {1}, random).value().item());
}

BOOST_AUTO_TEST_CASE(a_recording_has_one_leaf_of_a_parameter) {
  ParameterStore store;
  const Parameter w = store.root().parameter("w", {2}, ones),
                  unused = store.root().parameter("unused", {2}, ones);
  Tape tape;
  BOOST_TEST(tape[w].id().node == tape[w].id().node);
  tape[unused];
  BOOST_TEST(tape.size() == 2u);
  const Gradients g = tape.backward(sum_to(tape[w] * tape[w] * 3, {}));
  BOOST_TEST(g[w].at({1}) == 6);
  BOOST_TEST(g.parameters("test").size() == 1u);
  BOOST_TEST(!g.contains(unused));
  BOOST_TEST(error_of([&] { g[unused]; }) ==
             "gradients: the loss does not depend on parameter 'unused', or it is frozen");
  BOOST_TEST(error_of([&] { tape[Parameter()]; }) ==
             "parameter: an empty Parameter; layers create them through a Scope");
}

BOOST_AUTO_TEST_CASE(a_change_before_backward_is_named) {
  ParameterStore store;
  const Parameter w = store.root().parameter("decoder.w", {2}, ones);
  Tape tape;
  const Var old = tape[w], loss = sum_to(old * 3, {});
  const Tensor seen = old.value();
  w.update([](Tensor& values) { values.fill(2); });
  const auto text = [](const char* op) {
    return fmt::format(
        "{}: parameter 'decoder.w' is at version 1, but version 0 was recorded; update parameters after "
        "backward, or record "
        "again",
        op);
  };
  BOOST_TEST(error_of([&] { tape.backward(loss); }) == text("affine"));
  BOOST_TEST(error_of([&] { tape.backward(loss, {.create_graph = true}); }) == text("affine"));
  BOOST_TEST(error_of([&] { old * 2; }) == text("affine"));
  BOOST_TEST(error_of([&] { old.value(); }) == text("value"));
  BOOST_TEST(error_of([&] { seen.to_vector(); }) == text("tensor"));
  BOOST_TEST(tape.backward(sum_to(tape[w] * tape[w], {}))[w].at({0}) == 4);  // recorded again
  w.update([](Tensor& values) { values = Tensor::of({5, 5}); });             // other memory altogether
  BOOST_CHECK_THROW(old.value(), Error);
  tape.reset();
  BOOST_TEST(tape[w].value().at({0}) == 5);
}

BOOST_AUTO_TEST_CASE(another_dtype_is_converted_and_comes_back) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    ParameterStore store(0, dtype);
    const Parameter w = store.root().parameter("w", {2}, ones);
    Tape tape({.dtype = dtype == DType::f32 ? DType::f64 : DType::f32});
    BOOST_TEST((tape[w].dtype() == tape.dtype()));
    for (const bool again : {false, true}) {
      const Gradients g = tape.backward(sum_to(tape[w] * 0.1, {}), {.create_graph = again});
      BOOST_TEST((g[w].dtype() == dtype));
      BOOST_TEST(g[w].at({0}) == static_cast<double>(0.1F), boost::test_tools::tolerance(1e-7));
    }
  }
}

BOOST_AUTO_TEST_CASE(frozen_parameters_get_no_gradient) {
  ParameterStore store;
  const Scope root = store.root();
  const Parameter a = (root / "encoder").parameter("w", {1}, ones),
                  b = (root / "decoder").parameter("w", {1}, ones);
  Tape tape;
  const auto contained = [&] {
    tape.reset();
    const Gradients g = tape.backward(tape[a] * tape[b] * tape.variable({1}));
    return std::pair(g.contains(a), g.contains(b));
  };
  BOOST_TEST((contained() == std::pair(true, true)));
  store.freeze("encoder.*");
  BOOST_TEST(!a.trainable());
  BOOST_TEST((contained() == std::pair(false, true)));
  store.freeze("*");
  BOOST_TEST((contained() == std::pair(false, false)));
  store.unfreeze("encoder.w");
  BOOST_TEST((contained() == std::pair(true, false)));
  BOOST_TEST(error_of([&] { store.freeze("encodr.*"); }) == "freeze: no parameter's path matches 'encodr.*'");
}

BOOST_AUTO_TEST_CASE(swap_exchanges_values_by_path) {
  ParameterStore live, average;
  const Parameter w = live.root().parameter("w", {2}, ones);
  average.root().parameter("w", {2}, [](Tensor& values, RandomKey) { values.fill(7); });
  const std::uint64_t version = w.version();
  live.swap(average);
  BOOST_TEST(w.value().at({0}) == 7);
  BOOST_TEST(average.at("w").value().at({0}) == 1);
  BOOST_TEST(w.version() > version);
  live.swap(average);
  BOOST_TEST(w.value().at({0}) == 1);
  ParameterStore wider, other;
  wider.root().parameter("w", {3}, ones);
  BOOST_TEST(error_of([&] { live.swap(wider); }) == "swap: parameter 'w' is f32 [2] here and f32 [3] there");
  BOOST_TEST(error_of([&] { live.swap(other); }) == "swap: a store of 1 parameters with one of 0");
}

BOOST_AUTO_TEST_CASE(assign_converts_and_checks) {
  ParameterStore store;
  const Parameter w = store.root().parameter("w", {2}, ones);
  w.assign(Tensor::of({3, 4}, DType::f64));
  BOOST_TEST(w.value().at({1}) == 4);
  BOOST_TEST(w.version() == 1u);
  BOOST_TEST(error_of([&] { w.assign(Tensor({3})); }) == "assign: parameter 'w' has shape [2], got [3]");
  BOOST_TEST(w.version() == 1u);
}

BOOST_AUTO_TEST_CASE(patterns_match_across_dots) {
  BOOST_TEST(path_matches("encoder.*.weight", "encoder.layers.0.norm1.weight"));
  BOOST_TEST(path_matches("*", ""));
  BOOST_TEST(path_matches("*.bias", "a.bias"));
  BOOST_TEST(path_matches("a*b*c", "a.b.b.c"));
  BOOST_TEST(!path_matches("*.bias", "a.bias2"));
  BOOST_TEST(!path_matches("encoder", "encoder.w"));
  BOOST_TEST(!path_matches("", "a"));
  BOOST_TEST(nearest_name("haeds", {"heads", "layers"}) == "heads");
  BOOST_TEST(nearest_name("zzzzzz", {"heads", "layers"}).empty());
}

BOOST_AUTO_TEST_CASE(a_value_is_read_only_outside_of_update) {
  ParameterStore store, other;
  const Parameter w = store.root().parameter("w", {2}, ones), twin = other.root().parameter("w", {2}, random);
  const std::string refused =
      "parameter 'w': value() is read-only; use update([](Tensor& t) { t.fill(0); }), or write to a "
      "clone() of this [2] tensor";
  const auto refuses = [&] {
    Tensor copy = w.value();
    return error_of([&] { copy.fill(0); }) == refused &&
           error_of([&] { copy.reshaped({2}).fill(0); }) == refused &&
           error_of([&] { copy.copy_from(Tensor({2})); }) == refused;
  };
  BOOST_TEST(refuses());
  BOOST_TEST(w.version() == 0u);
  w.update([](Tensor& values) { values.data<float>()[1] = 7; });
  BOOST_TEST(w.value().at({1}) == 7);
  w.update([](Tensor& values) { values = Tensor::of({5, 6}); });
  BOOST_TEST(refuses());
  const double random_value = twin.value().at({0});
  store.swap(other);
  BOOST_TEST(w.value().at({0}) == random_value);
  BOOST_TEST(twin.value().at({1}) == 6);
  BOOST_TEST(refuses());
  w.assign(Tensor::of({1, 2}, DType::f64));
  BOOST_TEST(w.value().at({1}) == 2);
  w.value().clone().fill(0);
  BOOST_TEST(w.value().at({1}) == 2);
}

BOOST_AUTO_TEST_CASE(a_change_that_throws_halfway_counts) {
  ParameterStore store;
  const Parameter w = store.root().parameter("w", {2}, ones);
  Tape tape;
  const Var loss = sum_to(tape[w] * tape[w], {});
  BOOST_CHECK_THROW(w.update([](Tensor& values) {
    values.fill(9);
    throw std::runtime_error("halfway");
  }),
                    std::runtime_error);
  BOOST_TEST(w.version() == 1u);
  BOOST_TEST(w.value().at({0}) == 9);
  BOOST_CHECK_THROW(tape.backward(loss), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
