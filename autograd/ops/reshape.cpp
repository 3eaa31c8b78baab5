#include "reshape.h"

#include <algorithm>

#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct Reshape final : Typed<Reshape> {
  Shape target;
  explicit Reshape(const Shape& shape) : target(shape) {}
  const char* name() const override { return "reshape"; }
  Formula formula() const override { return "y = x under another shape;  dx = dy under x's shape"; }
  void attributes(Attributes& a) const override { put(a, "shape", fmt::format("{}", target)); }
  Shape shape(Views, int) const override { return target; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    std::copy_n(in[0], in.size(), out[0]);
  }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  bool is_identity_pullback(std::size_t, Views, Views) const override { return true; }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    if (g.dx() == nullptr) return;
    if (g.uninitialized())
      std::copy_n(g.dy(), g.size(), g.dx());
    else
      kernels::add_into(g.dx(), g.dy(), g.size());
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {reshape(p.cotangents[0], p.inputs[0].shape())};
  }
};

[[noreturn]] void refuse(const Shape& from, std::span<const Index> extents, std::string_view why) {
  throw Error(fmt::format("reshape: {} elements of shape {} cannot be arranged as [{}]; {}", from.size(),
                          from, fmt::join(extents, ", "), why));
}

/// `extents` with the −1 filled in.
Shape completed(const Shape& from, std::span<const Index> extents) {
  Shape result;
  int open = -1;
  Index known = 1;
  for (const Index extent : extents) {
    if (extent < -1) refuse(from, extents, "an extent is negative");
    if (extent == -1 && open >= 0) refuse(from, extents, "only one extent may be -1");
    if (extent == -1)
      open = result.rank();
    else if (__builtin_mul_overflow(known, extent, &known))
      refuse(from, extents, "their product is too large");
    result = result.with_tail(0, {extent});
  }
  if (open >= 0) {
    if (known == 0 || from.size() % known != 0)
      refuse(from, extents, "the extents besides -1 must divide their number");
    result[open] = from.size() / known;
  }
  if (result.size() != from.size()) refuse(from, extents, "one extent may be -1 to follow from the others");
  return result;
}

}  // namespace

Var reshape(const Var& x, std::span<const Index> extents) {
  x.tape("reshape");
  const Shape& from = x.shape();
  const Shape to = completed(from, extents);
  return to == from ? x : apply(Reshape{to}, {x});
}

Var Var::reshape(std::initializer_list<Index> extents) const { return tapegrad::reshape(*this, extents); }

Var flatten(const Var& x, int first, int last) {
  x.tape("flatten");
  const Shape& from = x.shape();
  if (from.rank() == 0) return reshape(x, {1});
  const int begin = checked_axis("flatten", first, from), end = checked_axis("flatten", last, from);
  expects(begin <= end, "flatten: axis {} comes after axis {} in shape {}", first, last, from);
  Shape to;
  for (int axis = 0; axis < from.rank(); ++axis) {
    if (axis > begin && axis <= end)
      to[begin] *= from[axis];
    else
      to = to.with_tail(0, {from[axis]});
  }
  return reshape(x, to);
}

Var squeeze(const Var& x, int axis) {
  x.tape("squeeze");
  const Shape& from = x.shape();
  const int at = checked_axis("squeeze", axis, from);
  expects(from[at] == 1,
          "squeeze: axis {} of shape {} has extent {}, only an axis of extent 1 can be dropped", axis, from,
          from[at]);
  return reshape(x, from.without(at));
}

Var unsqueeze(const Var& x, int axis) {
  x.tape("unsqueeze");
  const Shape& from = x.shape();
  expects(axis >= -from.rank() - 1 && axis <= from.rank(),
          "unsqueeze: axis {} is out of range for shape {}, {} to {} are possible", axis, from,
          -from.rank() - 1, from.rank());
  return reshape(x, from.inserted(axis, 1));
}

}  // namespace tapegrad
