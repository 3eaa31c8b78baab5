/// One backward pass, walked op by op, against the pass in one go.
#pragma once
#include <tapegrad/autograd/backward/steps.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace tapegrad::test {

/// max |a - b| / max |b|
inline double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  double most = 0, largest = 1e-30;
  for (std::size_t i = 0; i < b.size(); ++i) {
    most = std::max(most, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  return most / largest;
}

inline std::string label(const Tape& tape, std::uint32_t node) {
  const Node& n = tape.node(node);
  return fmt::format("{} {} at {}", *n.path, n.op != nullptr ? n.op->name() : "leaf", node);
}

/// Checks that all values recorded up to the loss, and the parameters in their order, have equal gradients.
inline void check_same_gradients(const Tape& tape, const Var& loss, const Gradients& a, const Gradients& b) {
  for (std::uint32_t i = 0; i <= loss.id().node; ++i)
    for (std::uint32_t k = 0; k < tape.node(i).output_count; ++k) {
      const Var x = tape.handle(i, k);
      BOOST_REQUIRE(a.contains(x) == b.contains(x));
      if (a.contains(x)) BOOST_TEST(identical(a[x], b[x]), label(tape, i) << ", result " << k);
    }
  const auto p = a.parameters("test"), q = b.parameters("test");
  BOOST_REQUIRE(p.size() == q.size());
  for (std::size_t i = 0; i < p.size(); ++i) {
    BOOST_TEST((p[i].parameter == q[i].parameter));
    BOOST_TEST(identical(a[*p[i].parameter], b[*q[i].parameter]), p[i].parameter->path());
  }
}

/// Sums the `input_grads` of steps to gradients. Contributions of a checkpoint, and those that an op adds to
/// its own output's gradient, are unknown.
class InputGradSums {
 public:
  void add(const Tape& tape, const Step& s) {
    const Node& n = tape.node(s.node);
    for (std::size_t k = 0; k < s.outputs.size(); ++k)
      if (n.op->accumulates_into_output_grad(static_cast<int>(k))) unknown_[key(s.outputs[k])] = true;
    for (std::size_t i = 0; i < s.inputs.size(); ++i) {
      if (n.checkpoint) unknown_[key(s.inputs[i])] = true;
      BOOST_TEST((n.checkpoint || static_cast<bool>(s.input_grads[i]) == s.inputs[i].needs_grad()));
      if (!s.input_grads[i]) continue;
      BOOST_TEST((s.input_grads[i].shape() == s.inputs[i].shape()));
      const std::vector<double> part = s.input_grads[i].to_vector();
      std::vector<double>& sum = sums_[key(s.inputs[i])];
      sum.resize(part.size());
      for (std::size_t e = 0; e < part.size(); ++e) sum[e] += part[e];
    }
  }
  /// Returns the number of values that were compared.
  int check(const Tape& tape, const Gradients& g, double most) const {
    int count = 0;
    for (const auto& [at, sum] : sums_) {
      if (unknown_.contains(at)) continue;
      const double difference = relative_difference(sum, g[tape.handle(at.first, at.second)].to_vector());
      BOOST_TEST(difference <= most, label(tape, at.first) << ": " << difference);
      ++count;
    }
    return count;
  }

 private:
  using Key = std::pair<std::uint32_t, std::uint32_t>;
  static Key key(const Var& x) { return {x.id().node, x.output()}; }
  std::map<Key, std::vector<double>> sums_;
  std::map<Key, bool> unknown_;
};

/// Returns the number of steps.
inline int check_stepping(Tape& tape, const Var& loss, const StepOptions& options = {}) {
  const Gradients expected = tape.backward(loss, {.cotangent = options.cotangent});
  const std::size_t size = tape.size();
  BackwardSteps steps = backward_steps(loss, options);
  int count = 0;
  std::uint32_t before = loss.id().node + 1;
  InputGradSums sums;
  for (const Step& s : steps) {
    ++count;
    BOOST_TEST(s.node < before);
    before = s.node;
    BOOST_TEST(!s.op.empty());
    BOOST_TEST(!s.formula.empty());
    BOOST_TEST(s.where.line() > 0U);
    BOOST_TEST(s.path == *tape.node(s.node).path);
    BOOST_REQUIRE(s.input_grads.size() == s.inputs.size());
    BOOST_REQUIRE(s.output_grads.size() == s.outputs.size());
    for (std::size_t k = 0; k < s.outputs.size(); ++k) {
      BOOST_REQUIRE(static_cast<bool>(s.output_grads[k]) == expected.contains(s.outputs[k]));
      if (!s.output_grads[k]) continue;
      BOOST_TEST(identical(s.output_grads[k], expected[s.outputs[k]]), label(tape, s.node)
                                                                           << ", result " << k);
    }
    sums.add(tape, s);
    for (const Var& x : s.inputs) static_cast<void>(steps.so_far(x));  // reading changes nothing
  }
  BOOST_TEST(tape.size() == size);
  check_same_gradients(tape, loss, steps.gradients(), expected);
  BOOST_TEST(sums.check(tape, expected, tape.dtype() == DType::f64 ? 1e-12 : 1e-5) > 0);
  return count;
}

}  // namespace tapegrad::test
