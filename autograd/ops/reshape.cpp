#include "reshape.h"

#include <cstring>

#include "../gradcheck/samples.h"
#include "../kernels/elementwise.h"
#include "arithmetic.h"

namespace tapegrad {
namespace {

struct Reshape final : Primitive {
  Shape target;
  explicit Reshape(const Shape& shape) : target(shape) {}
  const char* name() const override { return "reshape"; }
  Formula formula() const override { return "y = x under another shape;  dx = dy under x's shape"; }
  void attributes(Attributes& a) const override { put(a, "shape", fmt::format("{}", target)); }
  Shape shape(Views, int) const override { return target; }
  void forward(Views in, Views out) const override {
    std::memcpy(out[0].bytes, in[0].bytes, in[0].byte_count());
  }
  bool has_backward() const override { return true; }
  Range overwrites(std::size_t, Views, Views) const override { return everything; }
  bool passes_on(std::size_t, Views, Views) const override { return true; }
  void backward(const BackwardArgs& args) const override {
    const TensorView &dx = args.dinputs[0], &dy = args.doutputs[0];
    if (!dx) return;
    if (args.fresh[0]) {
      std::memcpy(dx.bytes, dy.bytes, dy.byte_count());
      return;
    }
    dispatch(dx.dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::add_into(dx.data<T>(), dy.data<T>(), dx.size());
    });
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
  expects(begin <= end, "flatten: axis {} lies behind axis {} in shape {}", first, last, from);
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

namespace {

const OpSamples reshape_samples("reshape", [] {
  const auto sample = [](const Shape& from, const Shape& to, double scale = 1) {
    return Sample{fmt::format("{} to {}", from, to),
                  {sample_values(from, -2 * scale, 2 * scale)},
                  [to](const std::vector<Var>& in) { return reshape(in[0], to); },
                  fmt::format("a.reshape({})", to)};
  };
  std::vector<Sample> samples = {sample({3, 4}, {2, 6}),     sample({}, {1}),
                                 sample({1, 1}, {}),         sample({2, 0}, {0, 5}),
                                 sample({1, 6}, {6, 1}, 30), sample({2, 3}, {6}, 0.1)};
  const auto add = [&](const char* label, const Shape& shape, Var (*f)(const Var&), const char* torch) {
    samples.push_back(
        {label, {sample_values(shape)}, [f](const std::vector<Var>& in) { return f(in[0]); }, torch});
  };
  add(
      "flatten", {2, 3, 2}, [](const Var& x) { return flatten(x, 1); }, "a.flatten(1)");
  add(
      "unsqueeze", {2, 3}, [](const Var& x) { return unsqueeze(x, 1); }, "a.unsqueeze(1)");
  add(
      "repeated input", {4, 1}, [](const Var& x) { return mul(reshape(x, {4}), x); }, "a.reshape(4) * a");
  add(
      "squeeze", {2, 1, 3}, [](const Var& x) { return squeeze(x, -2); }, "a.squeeze(-2)");
  return samples;
});

}  // namespace
}  // namespace tapegrad
