#include "parts.h"

#include <algorithm>
#include <cmath>

#include "../../tensor/broadcast.h"

namespace tapegrad {
namespace {

Tensor repeated(const TensorView& narrow, const Shape& wide) {
  Tensor result(wide, DType::f64);
  const double* from = narrow.data<double>();
  double* to = result.data<double>();
  for_each_run(wide, narrow.shape, narrow.shape,
               [&](Index to_at, Index at, Index, Index count, Index step, Index) {
                 for (Index i = 0; i < count; ++i) to[to_at + i] = from[at + i * step];
               });
  return result;
}

/// Runs the ops between one input of one op and a result again.
class NodeReplay {
 public:
  NodeReplay(const Tape& tape, std::uint32_t node, std::uint32_t slot, const Var& y)
      : tape_(tape), first_(node), slot_(slot) {
    const std::uint32_t last = y.id().node;
    y_ = tape.node(last).first_output + y.output();
    moved_.resize(tape.node(last).first_output + tape.node(last).output_count);
    for (std::uint32_t i = first_; i <= last; ++i) {
      const Node& n = tape.node(i);
      if (n.op == nullptr || (i != first_ && std::none_of(n.inputs, n.inputs + n.input_count,
                                                          [&](auto number) { return is_moved(number); })))
        continue;
      nodes_.push_back(i);
      for (std::uint32_t k = 0; k < n.output_count; ++k)
        moved_[n.first_output + k] = Tensor(n.outputs[k].shape, n.outputs[k].dtype);
    }
  }

  /// True when the result depends on this use.
  bool reaches() const { return is_moved(y_); }
  const Node& node() const { return tape_.node(first_); }
  TensorView input() const { return tape_.output(node().inputs[slot_]); }

  /// The input in its broadcast shape if the op accepts that, otherwise as recorded.
  Tensor widest() {
    const TensorView own = input();
    std::vector<Shape> candidates;
    for (std::uint32_t k = 0; k < node().output_count; ++k) candidates.push_back(node().outputs[k].shape);
    for (std::uint32_t k = 0; k < node().input_count; ++k)
      candidates.push_back(tape_.output(node().inputs[k]).shape);
    for (const Shape& wide : candidates) {
      Shape both;
      if (wide == own.shape || !broadcast(own.shape, wide, both) || both != wide) continue;
      if (Tensor value = repeated(own, wide); takes(value)) return value;
    }
    return repeated(own, own.shape);
  }

  const double* run(const TensorView& value) {
    for (const std::uint32_t i : nodes_) {
      const Node& n = tape_.node(i);
      ViewList inputs, outputs;
      for (std::uint32_t k = 0; k < n.input_count; ++k)
        inputs.push_back(i == first_ && k == slot_ ? value
                         : is_moved(n.inputs[k])   ? moved_[n.inputs[k]].view()
                                                   : tape_.output(n.inputs[k]));
      for (std::uint32_t k = 0; k < n.output_count; ++k) outputs.push_back(moved_[n.first_output + k].view());
      n.op->forward(inputs, outputs);
    }
    return moved_[y_].data<double>();
  }

 private:
  bool is_moved(std::uint32_t number) const {
    return number < moved_.size() && static_cast<bool>(moved_[number]);
  }

  /// True when the op gives the recorded result for the broadcast value.
  bool takes(const Tensor& value) {
    Shape nonsense = value.shape();
    for (int axis = 0; axis < nonsense.rank(); ++axis) ++nonsense[axis];
    if (!allows(value.shape()) || allows(nonsense)) return false;
    const TensorView y = tape_.output(y_);
    return std::equal(y.data<double>(), y.data<double>() + y.size(), run(value.view()));
  }

  /// True when the op's shape rule gives the recorded shapes for an input of this shape. An op whose shape
  /// rule accepts any shape checks nothing, so it must not run on shapes that it was not written for.
  bool allows(const Shape& shape) const {
    const Node& n = node();
    ViewList inputs;
    for (std::uint32_t k = 0; k < n.input_count; ++k) {
      TensorView& view = inputs.push_back(tape_.output(n.inputs[k]));
      if (k == slot_) view.shape = shape;
    }
    try {
      for (int k = 0; k < n.output_count; ++k)
        if (n.op->shape(inputs, k) != n.outputs[k].shape) return false;
    } catch (const Error&) {
      return false;
    }
    return true;
  }

  const Tape& tape_;
  std::uint32_t first_, slot_, y_;
  std::vector<std::uint32_t> nodes_;
  std::vector<Tensor> moved_;  // by number of output; empty where nothing moves
};

double derivative(NodeReplay& replay, Tensor& x, Index at, const std::vector<double>& cotangent,
                  double step) {
  double* values = x.data<double>();
  const double before = values[at];
  double estimates[std::size(stencil_refinements)];
  for (std::size_t r = 0; r < std::size(estimates); ++r) {
    const double h = step * stencil_refinements[r] * std::max(1.0, std::abs(before));
    std::vector<double> weighted(cotangent.size());
    for (const auto& [offset, weight] : {std::pair{-2, 1}, {-1, -8}, {1, 8}, {2, -1}}) {
      values[at] = before + offset * h;
      const double* y = replay.run(x.view());
      for (std::size_t i = 0; i < weighted.size(); ++i) weighted[i] += weight * y[i];
    }
    estimates[r] = 0;
    for (std::size_t i = 0; i < weighted.size(); ++i) estimates[r] += cotangent[i] * weighted[i] / (12 * h);
  }
  values[at] = before;
  return estimates[steadiest(estimates) + 1];
}

}  // namespace

std::size_t steadiest(const double (&estimates)[std::size(stencil_refinements)]) {
  std::size_t best = 0;
  for (std::size_t k = 1; k + 1 < std::size(estimates); ++k)
    if (!(std::abs(estimates[best + 1] - estimates[best]) <= std::abs(estimates[k + 1] - estimates[k])))
      best = k;
  return best;
}

std::vector<GradientPart> gradient_parts(const Tape& tape, const Var& x, const Var& y,
                                         const std::vector<double>& cotangent, double step, Index budget) {
  const std::uint32_t number = tape.node(x.id().node).first_output + x.output();
  std::vector<GradientPart> parts;
  for (std::uint32_t i = x.id().node + 1; i <= y.id().node; ++i)
    if (tape.node(i).checkpoint) return {};  // its ops are not recorded
  for (std::uint32_t i = x.id().node + 1; i <= y.id().node; ++i) {
    const Node& n = tape.node(i);
    for (std::uint32_t slot = 0; slot < n.input_count; ++slot) {
      if (n.op == nullptr || n.inputs[slot] != number) continue;
      NodeReplay replay(tape, i, slot, y);
      if (!replay.reaches()) continue;
      Tensor value = replay.widest();
      budget -= value.size();
      if (budget < 0) return {};
      GradientPart part{fmt::format("input {} of {}", slot, n.op->name()), value.shape(), {}};
      for (Index at = 0; at < value.size(); ++at)
        part.numeric.push_back(derivative(replay, value, at, cotangent, step));
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

}  // namespace tapegrad
