#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(const char* label, const Shape& shape, std::function<Var(const Var&)> f, std::string torch,
              double scale = 1) {
  return {label,
          {sample_values(shape, -2 * scale, 2 * scale)},
          [f](const std::vector<Var>& in) { return f(in[0]); },
          std::move(torch)};
}

const OpSamples slice_samples("slice", [] {
  const auto part = [](const char* label, const Shape& shape, int axis, Index begin, Index length) {
    return sample(
        label, shape, [=](const Var& x) { return slice(x, axis, begin, length); },
        fmt::format("a.narrow({}, {}, {})", axis, begin, length));
  };
  const auto one = [](const char* label, const Shape& shape, int axis, Index i, double scale = 1) {
    return sample(
        label, shape, [=](const Var& x) { return select(x, axis, i); },
        fmt::format("a.select({}, {})", axis, i), scale);
  };
  return std::vector<Sample>{
      part("rows", {4, 3}, 0, 1, 2),
      part("columns", {2, 5}, -1, 0, 3),
      part("middle axis", {2, 4, 3}, 1, 2, 2),
      part("length 0", {2, 3}, 1, 3, 0),
      part("size-0 dimension", {0, 3}, 1, 1, 1),
      part("size-1 dimension", {3, 1}, 0, 1, 2),
      one("select to rank 0", {3}, 0, -1),
      one("select", {2, 3, 2}, 1, 2, 30),
      sample(
          "overlapping slices", {4}, [](const Var& x) { return mul(slice(x, 0, 0, 3), slice(x, 0, 1, 3)); },
          "a[:3] * a[1:]", 0.1)};
});

const OpSamples pad_samples("pad", [] {
  const auto around = [](const char* label, const Shape& shape, int axis, Index before, Index after,
                         double scale = 1) {
    const int behind = shape.rank() - 1 - checked_axis("pad", axis, shape);  // PyTorch counts from the last
    return sample(
        label, shape, [=](const Var& x) { return pad(x, axis, before, after); },
        fmt::format("F.pad(a, [0, 0] * {} + [{}, {}])", behind, before, after), scale);
  };
  return std::vector<Sample>{around("rows", {2, 3}, 0, 1, 2),
                             around("columns", {2, 3}, 1, 0, 1),
                             around("middle axis", {2, 1, 3}, 1, 2, 0),
                             around("small magnitude", {1, 2}, -2, 1, 1, 0.1),
                             around("nothing", {3}, 0, 0, 0),
                             around("size 0 filled", {2, 0}, 1, 1, 1),
                             around("large magnitude", {3}, 0, 1, 1, 30),
                             sample(
                                 "x against itself, shifted", {4},
                                 [](const Var& x) { return mul(pad(x, 0, 1, 0), pad(x, 0, 0, 1)); },
                                 "F.pad(a, [1, 0]) * F.pad(a, [0, 1])")};
});

const OpSamples flip_samples("flip", [] {
  const auto over = [](const char* label, const Shape& shape, int axis, double scale = 1) {
    return sample(
        label, shape, [=](const Var& x) { return flip(x, axis); }, fmt::format("a.flip({})", axis), scale);
  };
  return std::vector<Sample>{
      over("rows", {3, 2}, 0),
      over("columns", {3, 4}, -1),
      over("middle axis", {2, 3, 2}, 1),
      over("extent 1", {1, 3}, 0),
      over("small magnitude", {3}, 0, 0.1),
      over("size-0 dimension", {0, 3}, 1),
      sample(
          "x against its mirror", {4}, [](const Var& x) { return mul(x, flip(x, 0)); }, "a * a.flip(0)", 30)};
});

}  // namespace
}  // namespace tapegrad
