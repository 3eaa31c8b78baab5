/// A small model with dropout, run as it is or checkpointed.
#pragma once
#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/layer.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace tapegrad::checkpoint_tests {

inline Tensor values(const Shape& shape, std::uint64_t key) {
  Tensor x(shape, DType::f32);
  for (Index i = 0; i < x.size(); ++i)
    x.data<float>()[i] = static_cast<float>(2 * uniform01({key}, static_cast<std::uint64_t>(i)) - 1);
  return x;
}

struct Block : nn::Layer<Block> {
  Block(const Scope& s, Index width)
      : Layer(s),
        up(s.parameter("up", {2 * width, width}, fill)),
        down(s.parameter("down", {width, 2 * width}, fill)),
        gain(s.parameter("gain", {width}, fill)) {}
  static void fill(Tensor& x, RandomKey key) {
    const auto size = static_cast<double>(x.size());
    for (Index i = 0; i < x.size(); ++i)
      x.data<float>()[i] = static_cast<float>(uniform01(key, static_cast<std::uint64_t>(i)) - 0.5 + 1 / size);
  }
  /// [rows, width] -> same
  Var forward(const Var& x) const {
    Tape& tape = x.tape();
    const Var hidden = dropout(gelu(linear(x, tape[up])), 0.3);
    if (tape.observers().wants(path(), "hidden")) tape.observers().add(path(), "hidden", hidden);
    return rms_norm(x + dropout(linear(hidden, tape[down]), 0.2), tape[gain]);
  }
  Parameter up, down, gain;
};

/// Runs a function as it is, or as a checkpoint.
struct Run {
  bool checkpointed;
  template <class F, class... Args>
  auto operator()(F&& f, Args&&... args) const {
    if (checkpointed) return checkpoint(std::forward<F>(f), std::forward<Args>(args)...);
    return std::invoke(f, args...);
  }
};

struct Model {
  ParameterStore params{7};
  Block first{params.root() / "first", 6}, second{params.root() / "second", 6};
  Tensor data = values({5, 6}, 3), other = values({5, 6}, 4);
};

/// Values and gradients that a program gives, one after the other.
using Results = std::vector<Tensor>;

inline Results gradients(Tape& tape, const ParameterStore& params, const Var& loss,
                         const std::vector<Var>& vars, const BackwardOptions& options) {
  Results found = {loss.value().clone()};
  const Gradients g = tape.backward(loss, options);
  for (const Var& x : vars) found.push_back(g[x].clone());
  for (const Gradients::Entry& entry : g.parameters("test")) {  // in their order
    found.push_back(g[*entry.parameter].clone());
    const auto place = std::find(params.begin(), params.end(), *entry.parameter) - params.begin();
    found.push_back(Tensor::full({}, static_cast<double>(place)));
  }
  return found;
}

inline void check_identical(const Results& a, const Results& b) {
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(identical(a[i], b[i]), "result " << i);
}

}  // namespace tapegrad::checkpoint_tests
