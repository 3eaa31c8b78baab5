// Functions that run in the backward pass, when the gradient of a layer's result is complete.
#include <tapegrad/autograd/backward/derivatives.h>
#include <tapegrad/autograd/backward/steps.h>
#include <tapegrad/nn/layer.h>

#include <tests/support/checkpoint_model.h>
#include <tests/support/errors.h>
#include <stdexcept>

namespace tapegrad {
using namespace nn;
namespace {

using checkpoint_tests::Model;
using checkpoint_tests::Run;

/// The gradients that hooks of every path received.
struct Seen {
  std::vector<std::string> paths;
  std::vector<Tensor> values, gradients;

  void watch(Tape& tape, const std::string& pattern) {
    tape.observers().on_gradient(pattern,
                                 [this](const std::string& path, const Var& x, const Tensor& gradient) {
                                   paths.push_back(path);
                                   values.push_back(x.value().clone());
                                   gradients.push_back(gradient.clone());
                                 });
  }
};

struct Same : Layer<Same> {
  explicit Same(const Scope& s) : Layer(s) {}
  Var forward(const Var& x) const { return x; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gradient_hooks)

BOOST_AUTO_TEST_CASE(see_complete_gradients_in_backward_order) {
  const Model model;
  for (const bool checkpointed : {false, true})
    for (const BackwardOptions& options :
         {BackwardOptions{}, BackwardOptions{.consume = true}, BackwardOptions{.create_graph = true}}) {
      Tensor expected, without;
      {
        Tape tape({.training = true});
        const Var x = tape.variable(model.data), h = model.first(x), y = model.second(h);
        const Gradients g = tape.backward(sum(square(y) * h), {.create_graph = options.create_graph});
        expected = g[h].clone();
        without = g[x].clone();
      }
      Tape tape({.training = true});
      Seen seen;
      seen.watch(tape, "*");
      const Run run{checkpointed};
      const Var x = tape.variable(model.data), h = run(model.first, x), y = run(model.second, h);
      const Tensor result = h.value().clone();
      const Gradients g = tape.backward(sum(square(y) * h), options);
      BOOST_REQUIRE((seen.paths == std::vector<std::string>{"second", "first"}));
      BOOST_TEST(identical(seen.values[1], result));
      BOOST_TEST(identical(seen.gradients[1], expected));
      BOOST_TEST(identical(g[x], without));  // they change no bit
    }
}

BOOST_AUTO_TEST_CASE(run_in_every_pass_and_in_steps) {
  const Model model;
  Tape tape;
  Seen seen;
  seen.watch(tape, "fir*");
  const Var loss = sum(model.second(model.first(tape.variable(model.data))));
  tape.backward(loss);
  tape.backward(loss);
  backward_steps(loss).gradients();
  backward_steps(loss, {.intervene = [](Step&) {}}).gradients();
  BOOST_TEST((seen.paths == std::vector<std::string>(4, "first")));
  BOOST_TEST(identical(seen.gradients[2], seen.gradients[0]));
}

BOOST_AUTO_TEST_CASE(layers_that_pass_a_value_through) {
  ParameterStore params;
  const Same same(params.root() / "same"), again(params.root() / "again");
  Tape tape({.dtype = DType::f64});
  Seen seen;
  seen.watch(tape, "*");
  const Var x = same(tape.variable({1, 2}));  // a leaf
  const Var y = again(same(exp(x)));
  const Var constant = same(tape.constant({1, 2}));
  tape.backward(sum(y * constant));
  BOOST_REQUIRE((seen.paths == std::vector<std::string>{"same", "again", "same"}));
  BOOST_TEST(identical(seen.gradients[1], Tensor::of({1, 2}, DType::f64)));
  BOOST_TEST(identical(seen.gradients[2], tape.backward(sum(y * constant))[x]));
}

BOOST_AUTO_TEST_CASE(forget_what_is_dropped) {
  ParameterStore params;
  const Same same(params.root() / "same"), other(params.root() / "other");
  Tape tape({.dtype = DType::f64});
  Seen seen;
  seen.watch(tape, "*");
  const Var x = tape.variable({1, 2}), y = exp(x);
  const Tape::Mark mark = tape.mark();
  same(exp(y));
  other(y);  // an older value, later
  tape.rewind(mark);
  tape.backward(sum(square(y)));
  BOOST_TEST(seen.paths.empty());
  const Var z = other(exp(y));  // in place of the dropped nodes
  tape.backward(sum(z));
  BOOST_TEST((seen.paths == std::vector<std::string>{"other"}));
  tape.reset();
  const Var a = tape.variable({1}), b = exp(a);
  exp(b);
  tape.backward(sum(b));
  BOOST_TEST(seen.paths.size() == 1U);
  tape.observers().remove_gradient_hooks();
  tape.backward(sum(same(exp(b))));
  BOOST_TEST(seen.paths.size() == 1U);
}

BOOST_AUTO_TEST_CASE(stop_a_pass) {
  const Model model;
  Tape tape;
  tape.observers().on_gradient(
      "first", [](const std::string&, const Var&, const Tensor&) { throw std::runtime_error("enough"); });
  const Var x = tape.variable(model.data), loss = sum(model.first(x));
  const std::size_t size = tape.size(), bytes = tape.bytes();
  BOOST_CHECK_THROW(tape.backward(loss), std::runtime_error);
  BOOST_TEST(tape.size() == size);
  BOOST_TEST(tape.bytes() == bytes);
  tape.observers().remove_gradient_hooks();
  BOOST_TEST(tape.backward(loss).contains(x));
}

BOOST_AUTO_TEST_CASE(unreached_layers_are_left_out) {
  const Model model;
  Tape tape;
  Seen seen;
  seen.watch(tape, "*");
  const Var x = tape.variable(model.data), y = model.first(x);
  model.second(y);
  tape.backward(sum(y));
  BOOST_TEST((seen.paths == std::vector<std::string>{"first"}));
}

BOOST_AUTO_TEST_CASE(refuse_to_change_the_tape_they_look_at) {
  const auto message = [](const char* op) {
    return fmt::format(
        "{}: a gradient hook of 'layer' runs, which must not change the tape; keep what it "
        "needs and do it afterwards",
        op);
  };
  ParameterStore params(1);
  const Same layer(params.root() / "layer");
  Tape tape;
  std::function<void(const Var&)> act;
  tape.observers().on_gradient("layer", [&](const std::string&, const Var& x, const Tensor&) { act(x); });
  const auto refused = [&](const char* op, std::function<void(const Var&)> change) {
    tape.reset();
    const Tape::Mark mark = tape.mark();
    static_cast<void>(mark);
    const Var y = layer(square(tape.variable({3})));
    const Var loss = sum(square(y));
    act = std::move(change);
    BOOST_TEST(test::error_of([&] { tape.backward(loss); }) == message(op));
    act = [](const Var&) {};
    BOOST_TEST(tape.backward(loss)[y].at({0}) == 18);  // it goes on
  };
  refused("add", [](const Var& x) { add(x, x); });
  refused("constant", [&](const Var&) { tape.constant({1}); });
  refused("backward", [&](const Var& x) { tape.backward(x); });
  refused("reset", [&](const Var&) { tape.reset(); });
  refused("rewind", [&](const Var&) { tape.rewind(tape.mark()); });
  refused("rewind", [&](const Var& x) { hvp(x, x, Tensor::of({1})); });
}

BOOST_AUTO_TEST_CASE(may_add_and_remove_hooks) {
  ParameterStore params(1);
  const Same layer(params.root() / "layer");
  Tape tape;
  int calls = 0;
  tape.observers().on_gradient("layer", [&](const std::string&, const Var&, const Tensor&) {
    for (int i = 0; i < 20; ++i)
      tape.observers().on_gradient("other", [](const std::string&, const Var&, const Tensor&) {});
    ++calls;
  });
  const Var loss = sum(square(layer(square(tape.variable({3})))));
  tape.backward(loss);
  tape.observers().remove_gradient_hooks();
  tape.observers().on_gradient("layer", [&](const std::string&, const Var&, const Tensor&) {
    tape.observers().remove_gradient_hooks();  // once
    ++calls;
  });
  tape.backward(loss);
  tape.backward(loss);
  BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
