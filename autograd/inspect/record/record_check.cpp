// Numerical gradients of captured values.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "../replay/numerical_gradient.h"
#include "recorder.h"

namespace tapegrad {
namespace {

constexpr double floor_of_error = 1e-3;  // gradients below it are compared absolutely

std::uint64_t scramble(std::uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Chooses `count` distinct elements of a value, in ascending order, determined by the value's id.
std::vector<Index> some_cells(std::uint32_t id, Index size, Index count) {
  std::set<Index> cells;
  for (std::uint64_t draw = 0; static_cast<Index>(cells.size()) < count; ++draw)
    cells.insert(
        static_cast<Index>(scramble(id * std::uint64_t{0x10001} + draw) % static_cast<std::uint64_t>(size)));
  return {cells.begin(), cells.end()};
}

}  // namespace

std::vector<bool> behind_checkpoint(const Var& loss) {
  const Tape& tape = loss.tape("record");
  const std::uint32_t last = loss.id().node;
  std::vector<std::uint32_t> owner;  // by flat output: its node
  std::vector<bool> wanted(last + 1), behind(last + 1);
  // In another precision a replay computes everything again, checkpoints included.
  for (std::uint32_t i = 0; i < tape.size() && tape.dtype() != DType::f64; ++i)
    if (tape.node(i).checkpoint) return std::vector<bool>(last + 1, true);
  for (std::uint32_t i = 0; i <= last; ++i) owner.insert(owner.end(), tape.node(i).output_count, i);
  wanted[last] = true;
  for (std::uint32_t i = last + 1; i-- > 0;) {
    const Node& n = tape.node(i);
    if (!wanted[i]) continue;
    for (std::uint16_t k = 0; k < n.input_count; ++k) {
      const std::uint32_t from = owner[n.inputs[k]];
      wanted[from] = true;
      if (n.checkpoint || behind[i]) behind[from] = true;
    }
  }
  return behind;
}

void Recorder::check_values() {
  const std::vector<bool> behind = behind_checkpoint(loss_);
  std::set<std::uint32_t> watched;
  if (options_.watch)
    for (const std::uint32_t id : options_.watch(record_)) watched.insert(id);
  for (RecordedValue& v : record_.values) {
    const Node& n = tape_.node(vars_[v.id].id().node);
    if (behind[vars_[v.id].id().node]) continue;
    // A result inside of an op cannot be moved alone: the op would recompute it.
    if (v.gradient.empty() ||
        (n.accumulates_into_output_grad && n.op->accumulates_into_output_grad(static_cast<int>(v.output))))
      continue;
    const bool named = !v.label.empty() && !v.parameter;
    v.check = check(v, options_.numeric == Numeric::all || watched.contains(v.id) || named ||
                           (v.leaf() && v.shape.size() <= options_.small));
  }
}

RecordedCheck Recorder::check(const RecordedValue& v, bool whole) const {
  RecordedCheck result;
  result.tolerance = record_.dtype == DType::f64 ? 1e-6 : 1e-3;
  const Index size = v.shape.size();
  std::vector<Index> cells(static_cast<std::size_t>(size));
  std::iota(cells.begin(), cells.end(), Index{0});
  if (!whole && size > options_.samples) result.cells = cells = some_cells(v.id, size, options_.samples);
  const NumericalGradient found = numerical_gradient(loss_, vars_[v.id], cells);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    result.values.push_back(found.kink[i] ? std::numeric_limits<double>::quiet_NaN() : found.values[i]);
    if (found.kink[i]) continue;
    const double analytic = v.gradient[static_cast<std::size_t>(cells[i])], numeric = found.values[i];
    double absolute = std::abs(analytic - numeric);
    double relative = absolute / std::max({std::abs(analytic), std::abs(numeric), floor_of_error});
    if (!std::isfinite(relative)) absolute = relative = std::numeric_limits<double>::infinity();
    result.absolute = std::max(result.absolute, absolute);
    if (relative <= result.relative) continue;
    result.relative = relative;
    result.cell = cells[i];
  }
  return result;
}

}  // namespace tapegrad
