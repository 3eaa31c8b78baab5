#pragma once
#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/optimizer.h>

#include <boost/test/unit_test.hpp>

namespace tapegrad::test {

/// Three parameters of two values each, all 1.
struct Model {
  explicit Model(DType dtype = DType::f64) : store(1, dtype) {
    const auto ones = [](Tensor& values, RandomKey) { values.fill(1); };
    encoder = store.root().parameter("encoder.weight", {2}, ones);
    decoder = store.root().parameter("decoder.weight", {2}, ones);
    bias = store.root().parameter("decoder.bias", {2}, ones);
  }
  /// Gradient 1 for each of `reached`.
  Gradients ones(Tape& tape, std::initializer_list<Parameter> reached) const {
    Var loss = tape.full({}, 0);
    for (const Parameter& p : reached) loss = loss + sum(tape[p]);
    return tape.backward(loss);
  }
  Gradients ones(Tape& tape) const { return ones(tape, {encoder, decoder, bias}); }
  /// Gradients that differ from element to element and from step to step.
  void train(optim::Optimizer& optimizer, int from, int to) const {
    Tape tape({.dtype = store.dtype()});
    for (int t = from; t < to; ++t) {
      tape.reset();
      Var loss = tape.full({}, 0);
      for (const Parameter& p : store)
        loss = loss + sum(cos(tape[p] * (1.0 + t) + tape.constant({0.1, 0.7})));
      optimizer.step(tape.backward(loss));
    }
  }
  void check_same(const Model& other) const {
    for (const Parameter& p : store)
      BOOST_TEST(identical(p.value(), other.store.at(p.path()).value()), p.path());
  }

  ParameterStore store;
  Parameter encoder, decoder, bias;
};

}  // namespace tapegrad::test
