#include "check.h"

#include <algorithm>
#include <cmath>

#include "../backward/backward_pass.h"
#include "../tensor/index_of.h"

namespace tapegrad {
namespace {

/// `NaN at [1, 0, 2]`; of a scalar without a place.
std::string element_text(const TensorView& x, Index element) {
  const std::string kind = dispatch(x.dtype, [&](auto zero) {
    const auto value = x.data<decltype(zero)>()[element];
    return std::string(std::isnan(value) ? "NaN" : value > 0 ? "+inf" : "-inf");
  });
  return x.shape.rank() == 0 ? kind : fmt::format("{} at {}", kind, index_of(x.shape, element));
}

/// `input 0 [2, 3] in [-1, 2.5]; input 1 …`
template <class List>
std::string list_ranges(const char* name, const List& views) {
  std::string text;
  for (std::size_t i = 0; i < views.size(); ++i)
    text += fmt::format("{}{} {} {}", i == 0 ? "" : "; ", name, i, range_text(views[i]));
  return text;
}

Index first_non_finite(const TensorView& x, Range part) {
  if (!can_compute(x.dtype) || !x) return -1;
  return dispatch(x.dtype, [&](auto zero) -> Index {
    const auto* values = x.data<decltype(zero)>();
    for (Index i = part.begin; i < std::min(part.end, x.size()); ++i)
      if (!std::isfinite(values[i])) return i;
    return -1;
  });
}

}  // namespace

Index first_non_finite(const TensorView& x) { return first_non_finite(x, everything); }

std::string range_text(const TensorView& x) {
  if (!x) return fmt::format("{} none", x.shape);
  if (!can_compute(x.dtype) || x.size() == 0) return fmt::format("{} {}", x.shape, dtype_name(x.dtype));
  return dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T low = INFINITY, high = -INFINITY;
    Index nans = 0, infinite = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const T value = x.data<T>()[i];
      nans += std::isnan(value);
      infinite += std::isinf(value);
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    std::string text = low <= high ? fmt::format("{} in [{:.6g}, {:.6g}]", x.shape, low, high)
                                   : fmt::format("{} nothing finite", x.shape);
    if (nans > 0) text += fmt::format(", {} NaN", nans);
    if (infinite > 0) text += fmt::format(", {} infinite", infinite);
    return text;
  });
}

void Tape::check_finite(const Op& op, Views inputs, Views outputs, const std::uint32_t* numbers,
                        std::size_t position) const {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Index at = first_non_finite(inputs[i]);
    if (at < 0) continue;
    // Ops were checked, so it is a leaf.
    const Parameter* p = nodes_[flat_[numbers[i]].node].parameter;
    throw NonFiniteError(fmt::format("check: {} was given {} in input {}{}, on tape position {}; {}",
                                     op.name(), element_text(inputs[i], at), i,
                                     p ? fmt::format(", parameter '{}'", p->path()) : "", position,
                                     list_ranges("input", inputs)));
  }
  for (std::size_t k = 0; k < static_cast<std::size_t>(op.outputs()); ++k)
    if (const Index at = first_non_finite(outputs[k]); at >= 0)
      throw NonFiniteError(fmt::format("check: {} made {} in result {}, on tape position {}; {}", op.name(),
                                       element_text(outputs[k], at), k, position,
                                       list_ranges("input", inputs)));
}

void Tape::check_finite(const Op& op, const VarList& inputs, const VarList& outputs,
                        std::size_t position) const {
  ViewList in, out;
  std::vector<std::uint32_t> numbers;
  for (const Var& x : inputs) {
    numbers.push_back(flat_number(x));
    in.push_back(output(numbers.back()));
  }
  for (const Var& y : outputs) out.push_back(output(flat_number(y)));
  check_finite(op, in, out, numbers.data(), position);
}

void BackwardPass::check_cotangent() const {
  if (!options_.cotangent) return;
  const TensorView given = options_.cotangent.view();
  if (const Index at = first_non_finite(given); at >= 0)
    throw NonFiniteError(fmt::format("check: backward was given {} in the cotangent of the loss, {}",
                                     element_text(given, at), range_text(given)));
}

void BackwardPass::check_finite(const Node& n) const {
  for (std::uint16_t i = 0; i < n.input_count; ++i) {
    const TensorView sum = cotangent(n.inputs[i]);
    const Index at = first_non_finite(sum, cotangents_->written(n.inputs[i]));
    if (at < 0) continue;
    std::vector<TensorView> values, incoming;
    for (std::uint16_t k = 0; k < n.input_count; ++k) values.push_back(tape_.output(n.inputs[k]));
    for (int k = 0; k < n.op->outputs(); ++k)
      incoming.push_back(cotangent(n.first_output + static_cast<std::uint32_t>(k)));
    NonFiniteError error(fmt::format(
        "check: the backward of {} made {} in the gradient of input {}, on tape position {}; {}; {}",
        n.op->name(), element_text(sum, at), i, owner(n.first_output),
        list_ranges("incoming gradient", incoming), list_ranges("input", values)));
    error.add_path(*n.path);
    throw error;
  }
}

}  // namespace tapegrad
