#include "transpose.h"

#include <algorithm>
#include <array>

#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct Axis {
  Index extent, from, to;  // strides in the source and in the target
};

/// The axes of the target, outermost first, without extents of 1 and with neighbours merged that stay
/// neighbours.
class Walk {
 public:
  Walk(const Shape& source, const Shape& target, const std::array<int, Shape::max_rank>& axes) {
    std::array<Index, Shape::max_rank> strides{};
    Index stride = 1;
    for (int i = source.rank(); i-- > 0; stride *= source[i]) strides[static_cast<std::size_t>(i)] = stride;
    Index to = target.size();
    for (int i = 0; i < target.rank(); ++i) {
      to /= target[i];
      if (target[i] == 1) continue;
      const Axis axis{target[i], strides[static_cast<std::size_t>(axes[static_cast<std::size_t>(i)])], to};
      if (count_ > 0 && axes_[count_ - 1].from == axis.from * axis.extent)
        axes_[count_ - 1] = {axes_[count_ - 1].extent * axis.extent, axis.from, to};
      else
        axes_[count_++] = axis;
    }
  }

  /// Takes out the axis along which the source is contiguous; extent 1 when there is none left.
  Axis take_contiguous() {
    Axis* found = std::find_if(axes_.data(), end(), [](const Axis& a) { return a.from == 1; });
    return found == end() ? Axis{1, 1, 1} : take(found);
  }
  Axis take_last() { return count_ == 0 ? Axis{1, 1, 1} : take(end() - 1); }

  /// body(from, to) for every position of the axes that are left.
  template <class Body>
  void each(const Body& body, std::size_t depth = 0, Index from = 0, Index to = 0) const {
    if (depth == count_) return body(from, to);
    for (Index i = 0; i < axes_[depth].extent; ++i)
      each(body, depth + 1, from + i * axes_[depth].from, to + i * axes_[depth].to);
  }

 private:
  Axis* end() { return axes_.data() + count_; }
  Axis take(Axis* at) {
    const Axis taken = *at;
    std::copy(at + 1, end(), at);
    --count_;
    return taken;
  }

  std::array<Axis, Shape::max_rank> axes_{};
  std::size_t count_ = 0;
};

struct Permute final : Typed<Permute> {
  std::array<int, Shape::max_rank> axes{};
  std::size_t rank = 0;
  const char* name() const override { return "permute"; }
  Formula formula() const override {
    return "y = x with its axes in another order;  dx = dy with them put back";
  }
  void attributes(Attributes& a) const override {
    put(a, "axes", fmt::format("{}", fmt::join(std::span(axes).first(rank), ", ")));
  }
  Shape shape(Views in, int) const override {
    Shape result = in[0].shape;
    for (int i = 0; i < result.rank(); ++i) result[i] = in[0].shape[axes[static_cast<std::size_t>(i)]];
    return result;
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    move(in[0], in.shape(), out[0], out.shape(), axes, false);
  }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Permute back = inverse(g.x_shape().rank());
    move(g.dy(), g.y_shape(), g.dx(), g.x_shape(), back.axes, !g.uninitialized());
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {apply(inverse(p.inputs[0].rank()), {p.cotangents[0]})};
  }

 private:
  Permute inverse(int axis_count) const {
    Permute back;
    back.rank = static_cast<std::size_t>(axis_count);
    for (int i = 0; i < axis_count; ++i)
      back.axes[static_cast<std::size_t>(axes[static_cast<std::size_t>(i)])] = i;
    return back;
  }

  /// Writes, or adds, x's elements to their places in y.
  template <class T>
  static void move(const T* x, const Shape& source, T* y, const Shape& target,
                   const std::array<int, Shape::max_rank>& axes, bool accumulate) {
    if (target.size() == 0) return;
    Walk walk(source, target, axes);
    const Axis run = walk.take_contiguous();
    if (accumulate) {
      walk.each([&](Index from, Index to) {
        for (Index i = 0; i < run.extent; ++i) y[to + i * run.to] += x[from + i];
      });
      return;
    }
    if (run.to == 1) {
      walk.each([&](Index from, Index to) { std::copy_n(x + from, run.extent, y + to); });
      return;
    }
    const Axis across = walk.take_last();  // contiguous in the target
    walk.each([&](Index from, Index to) {
      kernels::transpose(x + from, across.extent, run.extent, across.from, y + to, run.to);
    });
  }
};

}  // namespace

Var permute(const Var& x, std::span<const int> axes) {
  x.tape("permute");
  const Shape& shape = x.shape();
  expects(axes.size() == static_cast<std::size_t>(shape.rank()),
          "permute: {} axes given for shape {}, which has {}; name every axis once", axes.size(), shape,
          shape.rank());
  Permute op;
  op.rank = axes.size();
  unsigned seen = 0;
  bool moved = false;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    op.axes[i] = checked_axis("permute", axes[i], shape);
    expects((seen >> op.axes[i] & 1) == 0,
            "permute: axis {} is named twice; name every axis of shape {} once", axes[i], shape);
    seen |= 1u << op.axes[i];
    moved |= op.axes[i] != static_cast<int>(i);
  }
  return moved ? apply(op, {x}) : x;
}

Var Var::transpose(int a, int b) const { return tapegrad::transpose(*this, a, b); }

Var transpose(const Var& x, int a, int b) {
  x.tape("transpose");
  const Shape& shape = x.shape();
  const int first = checked_axis("transpose", a, shape), second = checked_axis("transpose", b, shape);
  std::array<int, Shape::max_rank> axes{};
  for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int>(i);
  std::swap(axes[static_cast<std::size_t>(first)], axes[static_cast<std::size_t>(second)]);
  return permute(x, std::span<const int>(axes.data(), static_cast<std::size_t>(shape.rank())));
}

}  // namespace tapegrad
