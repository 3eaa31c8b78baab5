#include "concat.h"

#include "../tensor/axis.h"
#include "slice.h"

namespace tapegrad {
namespace {

/// concat, and stack, whose parts lack the axis.
struct Concat final : Primitive {
  int axis;
  bool stacked;
  Concat(int at, bool new_axis) : axis(at), stacked(new_axis) {}
  const char* name() const override { return stacked ? "stack" : "concat"; }
  Formula formula() const override { return "y = x_0, x_1, … along an axis;  dx_i = its part of dy"; }
  void attributes(Attributes& a) const override { put(a, "axis", axis); }
  Shape shape(Views in, int) const override {
    Shape result = in[0].shape;
    for (std::size_t i = 1; i < in.size(); ++i) {
      const Shape& part = in[i].shape;
      bool fits = part.rank() == result.rank();
      for (int k = 0; fits && k < part.rank(); ++k) fits = part[k] == result[k] || (k == axis && !stacked);
      if (stacked)
        expects(fits, "stack: part 0 has shape {}, part {} has {}; all parts must have one shape",
                in[0].shape, i, part);
      else
        expects(fits, "concat: part 0 has shape {}, part {} has {}; only the extents of axis {} may differ",
                in[0].shape, i, part, axis);
      expects(stacked || !__builtin_add_overflow(result[axis], part[axis], &result[axis]),
              "concat: the extents of axis {} add up to more than any memory can hold", axis);
    }
    return stacked ? result.inserted(axis, static_cast<Index>(in.size())) : result;
  }
  void forward(Views in, Views out) const override {
    each_part(out[0], in, [](const Blocks& whole, const Blocks& part, Index count) {
      copy_blocks(part, whole, count, part.step);
    });
  }
  bool has_backward() const override { return true; }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  void backward(const BackwardArgs& args) const override {
    each_part(args.doutputs[0], args.inputs,
              [&, i = std::size_t{0}](const Blocks& whole, const Blocks& part, Index count) mutable {
                const bool uninitialized = args.uninitialized[i];
                const TensorView& dx = args.dinputs[i++];
                if (uninitialized)
                  copy_blocks(whole, {dx, 0, part.step}, count, part.step);
                else if (dx)
                  add_blocks(whole, {dx, 0, part.step}, count, part.step);
              });
  }
  VarList pullback(const PullbackArgs& p) const override {
    VarList result;
    Index begin = 0;
    for (std::size_t i = 0; i < p.inputs.size(); ++i) {
      const Index length = stacked ? 1 : p.inputs[i].shape()[axis];
      if (!p.needs[i])
        result.push_back({});
      else
        result.push_back(stacked ? select(p.cotangents[0], axis, begin)
                                 : slice(p.cotangents[0], axis, begin, length));
      begin += length;
    }
    return result;
  }

 private:
  /// body(part in the whole, part, number of blocks) for each input.
  template <class Body>
  void each_part(const TensorView& whole, Views parts, Body&& body) const {
    const AxisView y(whole.shape, axis);
    Index begin = 0;
    for (const TensorView& part : parts) {
      const Index length = (stacked ? 1 : part.shape[axis]) * y.inner;
      body(Blocks{whole, begin, y.step()}, Blocks{part, 0, length}, y.outer);
      begin += length;
    }
  }
};

void check_parts(std::string_view op, std::span<const Var> parts) {
  expects(!parts.empty(), "{}: needs at least one part", op);
  expects(parts.size() <= UINT16_MAX, "{}: {} parts, at most {} are possible", op, parts.size(), UINT16_MAX);
  parts[0].tape(op);
}

}  // namespace

Var concat(std::span<const Var> parts, int axis) {
  check_parts("concat", parts);
  const int at = checked_axis("concat", axis, parts[0].shape());
  return tapegrad::apply(Concat{at, false}, parts);
}

Var stack(std::span<const Var> parts, int axis) {
  check_parts("stack", parts);
  const int rank = parts[0].rank();
  expects(axis >= -rank - 1 && axis <= rank,
          "stack: axis {} is out of range for parts of shape {}, {} to {} are possible", axis,
          parts[0].shape(), -rank - 1, rank);
  return tapegrad::apply(Concat{axis < 0 ? axis + rank + 1 : axis, true}, parts);
}

VarList split(const Var& x, std::span<const Index> sizes, int axis) {
  x.tape("split");
  const int at = checked_axis("split", axis, x.shape());
  Index total = 0;
  for (const Index size : sizes) {
    expects(size >= 0, "split: size {} of axis {} of shape {} is negative", size, axis, x.shape());
    expects(
        !__builtin_add_overflow(total, size, &total),
        "split: the sizes of axis {} add up to more than any memory can hold; shape {} has extent {} there",
        axis, x.shape(), x.shape()[at]);
  }
  expects(total == x.shape()[at], "split: sizes add up to {}, axis {} of shape {} has extent {}", total, axis,
          x.shape(), x.shape()[at]);
  VarList result;
  Index begin = 0;
  for (const Index size : sizes) {
    result.push_back(slice(x, at, begin, size));
    begin += size;
  }
  return result;
}

VarList chunk(const Var& x, Index count, int axis) {
  x.tape("chunk");
  const int at = checked_axis("chunk", axis, x.shape());
  const Index extent = x.shape()[at];
  expects(count > 0 && extent % count == 0,
          "chunk: axis {} of shape {} has extent {}, which is not divided by {}; split takes unequal sizes",
          axis, x.shape(), extent, count);
  VarList result;
  for (Index i = 0; i < count; ++i) result.push_back(slice(x, at, i * (extent / count), extent / count));
  return result;
}

}  // namespace tapegrad
