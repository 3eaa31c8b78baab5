/// Checks of raw backwards with gradient buffers that hold no value yet (`BackwardArgs::uninitialized`).
#pragma once
#include <tests/support/op_checks.h>

#include <set>

namespace tapegrad::op_checks {

/// Every element that equals, NaN never.
inline bool all_equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector() == b.to_vector();
}

/// The raw backward of one recorded node, called by hand.
class NodeBackward {
 public:
  /// Bit k of `arrived` is set when visible result k has a cotangent.
  NodeBackward(const Tape& tape, const Node& node, unsigned arrived) : node_(node) {
    for (std::uint16_t i = 0; i < node.input_count; ++i) inputs_.push_back(tape.output(node.inputs[i]));
    for (std::uint16_t k = 0; k < node.output_count; ++k) {
      const bool given = k < node.op->outputs() && (arrived >> k & 1) != 0;
      const TensorView& y = node.outputs[k];
      cotangents_.push_back(given ? sample_values(y.shape, -1, 1, 17 + k, 0.25).to(y.dtype) : Tensor());
    }
    for (std::uint16_t k = 0; k < node.output_count; ++k) {
      const TensorView& y = outputs_.push_back(node.outputs[k]);
      doutputs_.push_back({cotangents_[k] ? cotangents_[k].view().bytes : nullptr, y.shape, y.dtype});
    }
  }

  Range part(std::size_t input) const {
    if (std::count(node_.inputs, node_.inputs + node_.input_count, node_.inputs[input]) > 1) return nothing;
    Range r = node_.op->writable_range(input, inputs_, outputs_);
    r.end = std::min(r.end, inputs_[input].size());
    return r;
  }
  bool is_identity_pullback(std::size_t input) const {
    return node_.op->is_identity_pullback(input, inputs_, outputs_);
  }
  const Tensor& cotangent() const { return cotangents_[0]; }

  /// Every buffer starts as `start`; the op's writable ranges start as NaN when `uninitialized` is true.
  Results run(double start, bool uninitialized) const {
    Results sums;
    std::vector<CotangentView> views;
    UninitializedInputs flags;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      sums.push_back(Tensor::full(inputs_[i].shape, start, inputs_[i].dtype));
      views.push_back({sums[i].view().bytes, inputs_[i].shape, inputs_[i].dtype});
      const Range r = part(i);
      if (!uninitialized || r.empty()) continue;
      flags.add(i);
      dispatch(inputs_[i].dtype, [&]<class T>(T) {
        std::fill(views[i].data<T>() + r.begin, views[i].data<T>() + r.end,
                  std::numeric_limits<T>::quiet_NaN());
      });
    }
    std::vector<CotangentView> doutputs = doutputs_;
    Results completed;  // copies of the cotangents that the op changes in place
    for (int k = 0; k < node_.op->outputs(); ++k) {
      if (!node_.op->accumulates_into_output_grad(k)) continue;
      const auto at = static_cast<std::size_t>(k);
      const TensorView& y = outputs_[at];
      completed.push_back(cotangents_[at] ? cotangents_[at].clone() : Tensor(y.shape, y.dtype));
      doutputs[at].bytes = completed.back().view().bytes;
    }
    node_.op->backward({inputs_, outputs_, views, doutputs, flags});
    return sums;
  }

 private:
  const Node& node_;
  ViewList inputs_, outputs_;
  std::vector<CotangentView> doutputs_;
  std::vector<Tensor> cotangents_;
};

/// Checks that an uninitialized buffer is written with the sum that zeros would have received, that other
/// buffers are added to, that elements outside of the op's `writable_range` stay unchanged, and that an input
/// with `is_identity_pullback` receives the cotangent.
inline std::string uninitialized_is_written(const NodeBackward& node, double tolerance) {
  const Results added = node.run(0, false), written = node.run(0, true), on_top = node.run(8, false),
                beside = node.run(8, true);
  for (std::size_t i = 0; i < added.size(); ++i) {
    const std::vector<double> a = added[i].to_vector(), top = on_top[i].to_vector(),
                              next = beside[i].to_vector();
    if (!all_equal(added[i], written[i]))
      return fmt::format("uninitialized input {} differs from an added one", i);
    const Range part = node.part(i);
    for (Index k = 0; k < added[i].size(); ++k) {
      const auto at = static_cast<std::size_t>(k);
      const double sum = a[at] + 8;  // infinite where the gradient overflows
      if (top[at] != sum && !(std::abs(top[at] - sum) <= tolerance * (8 + std::abs(a[at]))))
        return fmt::format("input {} is not added to what was there", i);
      if (!part.empty() && next[at] != (k >= part.begin && k < part.end ? a[at] : 8.0))
        return fmt::format("element {} of uninitialized input {} is outside of the op's writable range", k,
                           i);
    }
    if (node.is_identity_pullback(i) && added[i].size() > 0 &&
        added[i].to_vector() != node.cotangent().to_vector())
      return fmt::format("input {} gets other than the cotangent", i);
  }
  return {};
}

/// Runs uninitialized_is_written on every node of a sample; `names` collects the ops with an input whose
/// buffer can be uninitialized.
inline std::string uninitialized_gradients(const Sample& sample, std::set<std::string>* names = nullptr) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool fused : {true, false}) {
      Tape tape(options_for(sample, dtype, fused));
      sample.call(variables(tape, sample));
      for (std::uint32_t i = 0; i < tape.size(); ++i) {
        const Node& node = tape.node(i);
        if (node.op == nullptr || !node.needs_grad || !node.op->has_backward()) continue;
        for (unsigned arrived = 1; arrived < 1U << node.op->outputs(); ++arrived) {
          const NodeBackward backward(tape, node, arrived);
          if (std::string wrong = uninitialized_is_written(backward, dtype == DType::f32 ? 1e-5 : 1e-13);
              !wrong.empty())
            return fmt::format("{}: {}", node.op->name(), wrong);
          for (std::size_t k = 0; names != nullptr && k < node.input_count; ++k)
            if (!backward.part(k).empty()) names->insert(node.op->name());
        }
      }
    }
  return {};
}

}  // namespace tapegrad::op_checks
