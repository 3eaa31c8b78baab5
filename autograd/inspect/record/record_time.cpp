// Measures the time of each op, forward and backward, by running it again alone.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "recorder.h"

namespace tapegrad {
namespace {

/// Nanoseconds of one call: the minimum over a few batches, since disturbances only add time.
template <class F>
double best_ns(F&& call) {
  using Clock = std::chrono::steady_clock;
  constexpr double batch_ns = 20'000;
  const auto time = [&](int count) {
    const auto begin = Clock::now();
    for (int i = 0; i < count; ++i) call();
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / count;
  };
  double best = time(1);
  const int count = static_cast<int>(std::clamp(batch_ns / std::max(best, 1.0), 1.0, 100.0));
  for (int batch = 0; batch < 5; ++batch) best = std::min(best, time(count));
  return best;
}

}  // namespace

void Recorder::time_ops(const Gradients& gradients) {
  for (std::uint32_t i = 0; i <= loss_.id().node; ++i) {
    const Node& n = tape_.node(i);
    if (n.op == nullptr || n.checkpoint) continue;
    RecordedValue& v = carrier(i);
    v.forward_ns = time_forward(n);
    if (v.gradient.empty()) continue;
    v.backward_ns = n.has_backward ? time_backward(i, gradients) : time_pullback(i, gradients);
  }
}

double Recorder::time_forward(const Node& n) const {
  ViewList in, out;
  std::vector<Tensor> scratch;
  for (std::uint16_t k = 0; k < n.input_count; ++k) in.push_back(tape_.output(n.inputs[k]));
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    out.push_back(scratch.emplace_back(n.outputs[k].shape, n.outputs[k].dtype).view());
  return best_ns([&] { n.op->forward(in, out); });
}

double Recorder::time_backward(std::uint32_t node, const Gradients& gradients) {
  const Node& n = tape_.node(node);
  ViewList in, out;
  std::vector<Tensor> scratch;
  std::vector<CotangentView> dinputs, doutputs;
  for (std::uint16_t k = 0; k < n.input_count; ++k) {
    const TensorView& value = in.push_back(tape_.output(n.inputs[k]));
    const std::uint32_t id = ids_[n.inputs[k]];
    void* sum = nullptr;
    if (vars_[id].needs_grad()) sum = scratch.emplace_back(value.shape, value.dtype).view().bytes;
    dinputs.push_back({sum, value.shape, value.dtype});
  }
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    const TensorView& value = out.push_back(n.outputs[k]);
    const Var result = tape_.handle(node, k);
    void* output_grad = nullptr;
    if (gradients.contains(result))
      output_grad = scratch.emplace_back(gradients[result].clone()).view().bytes;
    doutputs.push_back({output_grad, value.shape, value.dtype});
  }
  return best_ns([&] { n.op->backward({in, out, dinputs, doutputs}); });
}

/// Times a rule that is written in ops, by recording it at the end of the tape.
double Recorder::time_pullback(std::uint32_t node, const Gradients& gradients) {
  const Node n = tape_.node(node);  // a copy: the tape grows
  std::vector<Var> inputs, outputs, cotangents;
  const auto wanted = std::make_unique<bool[]>(n.input_count);
  const Tape::Mark before = tape_.mark();
  for (std::uint16_t k = 0; k < n.input_count; ++k) {
    inputs.push_back(vars_[ids_[n.inputs[k]]]);
    wanted[k] = inputs.back().needs_grad();
  }
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    outputs.push_back(tape_.handle(node, k));
    const bool reached = gradients.contains(outputs.back());
    cotangents.push_back(reached ? tape_.constant(gradients[outputs.back()]) : Var());
  }
  const Tape::Mark filled = tape_.mark();
  const double best = best_ns([&] {
    n.op->pullback({inputs, outputs, cotangents, {wanted.get(), n.input_count}});
    tape_.rewind(filled);
  });
  tape_.rewind(before);
  return best;
}

}  // namespace tapegrad
