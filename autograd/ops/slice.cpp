#include "slice.h"

#include <cstring>

#include "../tensor/axis.h"
#include "arithmetic.h"
#include "reshape.h"

namespace tapegrad {
namespace {

/// slice, and select, which drops the axis (`length` is 1 then).
struct Slice final : Primitive {
  int axis;
  Index begin, length;
  bool drop;
  Slice(int at, Index first, Index count, bool drop_axis)
      : axis(at), begin(first), length(count), drop(drop_axis) {}
  const char* name() const override { return "slice"; }
  Formula formula() const override {
    return "y = x[begin : begin + length] along an axis;  dx[begin : begin + length] = dy, 0 elsewhere";
  }
  void attributes(Attributes& a) const override {
    put(a, "axis", axis), put(a, "begin", begin), put(a, "length", length);
  }
  Shape shape(Views in, int) const override {
    if (drop) return in[0].shape.without(axis);
    Shape result = in[0].shape;
    result[axis] = length;
    return result;
  }
  void forward(Views in, Views out) const override {
    const AxisView x(in[0].shape, axis);
    copy_blocks({in[0], begin * x.inner, x.step()}, {out[0], 0, length * x.inner}, x.outer, length * x.inner);
  }
  bool has_backward() const override { return true; }
  Range writable_range(std::size_t, Views in, Views) const override {
    const AxisView x(in[0].shape, axis);
    return x.outer == 1 ? Range{begin * x.inner, (begin + length) * x.inner} : nothing;
  }
  void backward(const BackwardArgs& args) const override {
    if (!args.dinputs[0]) return;
    const AxisView x(args.dinputs[0].shape, axis);
    const Blocks from{args.doutputs[0], 0, length * x.inner}, to{args.dinputs[0], begin * x.inner, x.step()};
    if (args.uninitialized[0])
      copy_blocks(from, to, x.outer, length * x.inner);
    else
      add_blocks(from, to, x.outer, length * x.inner);
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Shape& x = p.inputs[0].shape();
    const Var dy = drop ? unsqueeze(p.cotangents[0], axis) : p.cotangents[0];
    return {pad(dy, axis, begin, x[axis] - begin - length)};
  }
};

struct Pad final : Primitive {
  int axis;
  Index before, after;
  Pad(int at, Index front, Index back) : axis(at), before(front), after(back) {}
  const char* name() const override { return "pad"; }
  Formula formula() const override {
    return "y = zeros, x, zeros along an axis;  dx = dy[before : before + extent]";
  }
  void attributes(Attributes& a) const override {
    put(a, "axis", axis), put(a, "before", before), put(a, "after", after);
  }
  Shape shape(Views in, int) const override {
    Shape result = in[0].shape;
    result[axis] += before + after;
    return result;
  }
  void forward(Views in, Views out) const override {
    const AxisView x(in[0].shape, axis), y(out[0].shape, axis);
    std::memset(out[0].bytes, 0, out[0].byte_count());
    copy_blocks({in[0], 0, x.step()}, {out[0], before * x.inner, y.step()}, x.outer, x.step());
  }
  bool has_backward() const override { return true; }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  void backward(const BackwardArgs& args) const override {
    if (!args.dinputs[0]) return;
    const AxisView x(args.dinputs[0].shape, axis), y(args.doutputs[0].shape, axis);
    const Blocks from{args.doutputs[0], before * x.inner, y.step()}, to{args.dinputs[0], 0, x.step()};
    if (args.uninitialized[0])
      copy_blocks(from, to, x.outer, x.step());
    else
      add_blocks(from, to, x.outer, x.step());
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {slice(p.cotangents[0], axis, before, p.inputs[0].shape()[axis])};
  }
};

struct Flip final : Primitive {
  int axis;
  explicit Flip(int at) : axis(at) {}
  const char* name() const override { return "flip"; }
  Formula formula() const override {
    return "y = x in reverse order along an axis;  dx = dy in reverse order";
  }
  void attributes(Attributes& a) const override { put(a, "axis", axis); }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    const AxisView x(in[0].shape, axis);
    for (Index i = 0; i < x.extent; ++i)
      copy_blocks({in[0], i * x.inner, x.step()}, {out[0], (x.extent - 1 - i) * x.inner, x.step()}, x.outer,
                  x.inner);
  }
  VarList pullback(const PullbackArgs& p) const override { return {flip(p.cotangents[0], axis)}; }
};

Var cut(const Var& x, int axis, const IndexRange& range) {
  const IndexRange at = checked_range("slice", range, axis, x.shape());
  return slice(x, axis, at.begin, *at.end - at.begin);
}

}  // namespace

Var slice(const Var& x, int axis, Index begin, Index length) {
  x.tape("slice");
  const Shape& shape = x.shape();
  const int at = checked_axis("slice", axis, shape);
  expects(begin >= 0 && length >= 0 && begin <= shape[at] && length <= shape[at] - begin,
          "slice: begin {} and length {} are out of range for axis {} of shape {}, which has extent {}",
          begin, length, axis, shape, shape[at]);
  return length == shape[at] ? x : apply(Slice{at, begin, length, false}, {x});
}

Var slice(const Var& x, std::initializer_list<Index> begins, std::initializer_list<Index> ends) {
  x.tape("slice");
  expects(begins.size() == ends.size() && static_cast<int>(begins.size()) <= x.rank(),
          "slice: {} begins and {} ends for shape {}; one of each is needed for each of the first axes",
          begins.size(), ends.size(), x.shape());
  Var y = x;
  for (std::size_t axis = 0; axis < begins.size(); ++axis)
    y = cut(y, static_cast<int>(axis), {begins.begin()[axis], ends.begin()[axis]});
  return y;
}

Var Var::operator[](Index i) const { return select(*this, 0, i); }
Var Var::operator[](const IndexRange& range) const {
  tape("slice");
  expects(rank() > 0, "slice: a scalar has no axis to cut");
  return cut(*this, 0, range);
}

Var pad(const Var& x, int axis, Index before, Index after) {
  x.tape("pad");
  const int at = checked_axis("pad", axis, x.shape());
  expects(before >= 0 && after >= 0, "pad: {} before and {} after, neither may be negative; use slice to cut",
          before, after);
  Index extent = x.shape()[at];
  expects(!__builtin_add_overflow(extent, before, &extent) && !__builtin_add_overflow(extent, after, &extent),
          "pad: {} before and {} after are more than any memory can hold", before, after);
  return before + after == 0 ? x : apply(Pad{at, before, after}, {x});
}

Var select(const Var& x, int axis, Index i) {
  x.tape("select");
  const Shape& shape = x.shape();
  const int at = checked_axis("select", axis, shape);
  return apply(Slice{at, checked_index("select", i, at, shape), 1, true}, {x});
}

Var flip(const Var& x, int axis) {
  x.tape("flip");
  return apply(Flip{checked_axis("flip", axis, x.shape())}, {x});
}

}  // namespace tapegrad
