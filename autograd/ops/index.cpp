#include "index.h"

#include <algorithm>

#include "../tensor/axis.h"
#include "arithmetic.h"
#include "reshape.h"
#include "typed.h"

namespace tapegrad {
namespace {

/// The loops of all ops here, over x [outer, extent, inner] and y [outer, count, inner]: `body(x_at, y_at,
/// n)` for every run of n elements that id j joins, in row-major order of y.
struct Pick {
  int axis = 0;
  TensorView ids;     // [count], or shaped as y when `each`
  bool each = false;  // an id of its own for every element of y
  Index skip = -1;    // runs of this id are left out

  template <class Body>
  void runs(const Shape& x_shape, const Shape& y_shape, const Body& body) const {
    const AxisView x(x_shape, axis), y(y_shape, axis);
    const Index* id = ids.data<Index>();
    for (Index o = 0; o < y.outer; ++o)
      for (Index j = 0; j < y.extent; ++j) {
        const Index x_at = o * x.step(), y_at = o * y.step() + j * y.inner;
        if (each)
          for (Index i = 0; i < y.inner; ++i) body(x_at + id[y_at + i] * y.inner + i, y_at + i, Index{1});
        else if (id[j] != skip)
          body(x_at + id[j] * y.inner, y_at, y.inner);
      }
  }
};

/// y[j] = x[ids[j]], or += when `add`.
template <class T>
void pick_from(const Pick& pick, const T* x, const Shape& x_shape, T* y, const Shape& y_shape, bool add) {
  pick.runs(x_shape, y_shape, [=](Index x_at, Index y_at, Index n) {
    for (Index i = 0; i < n; ++i) y[y_at + i] = add ? y[y_at + i] + x[x_at + i] : x[x_at + i];
  });
}

/// x[ids[j]] += y[j].
template <class T>
void scatter_into(const Pick& pick, const T* y, const Shape& y_shape, T* x, const Shape& x_shape) {
  pick.runs(x_shape, y_shape, [=](Index x_at, Index y_at, Index n) {
    for (Index i = 0; i < n; ++i) x[x_at + i] += y[y_at + i];
  });
}

/// y = x[ids]: gather and index_select.
struct Take final : Typed<Take> {
  Pick pick;
  explicit Take(const Pick& p) : pick(p) {}
  const char* name() const override { return pick.each ? "gather" : "index_select"; }
  Formula formula() const override { return "y[j] = x[ids[j]] along an axis;  dx[ids[j]] += dy[j]"; }
  void attributes(Attributes& a) const override { put(a, "axis", pick.axis); }
  Shape shape(Views in, int) const override {
    if (pick.each) return pick.ids.shape;
    Shape result = in[0].shape;
    result[pick.axis] = pick.ids.size();
    return result;
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    if (pick.skip >= 0) std::fill_n(out[0], out.size(), T(0));
    pick_from(pick, in[0], in.shape(), out[0], out.shape(), false);
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    scatter_into(pick, g.dy(), g.y_shape(), g.dx(), g.x_shape());
  }
  VarList pullback(const PullbackArgs& p) const override;
};

/// y = zeros, y[ids] += x: scatter_add and index_add.
struct Put final : Typed<Put> {
  Pick pick;
  Index extent;
  Put(const Pick& p, Index n) : pick(p), extent(n) {}
  const char* name() const override { return pick.each ? "scatter_add" : "index_add"; }
  Formula formula() const override { return "y[ids[j]] += x[j] along an axis;  dx[j] = dy[ids[j]]"; }
  void attributes(Attributes& a) const override { put(a, "axis", pick.axis); }
  Shape shape(Views in, int) const override {
    Shape result = in[0].shape;
    result[pick.axis] = extent;
    return result;
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    std::fill_n(out[0], out.size(), T(0));
    scatter_into(pick, in[0], in.shape(), out[0], out.shape());
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    pick_from(pick, g.dy(), g.y_shape(), g.dx(), g.x_shape(), true);
  }
  VarList pullback(const PullbackArgs& p) const override { return {apply(Take{pick}, {p.cotangents[0]})}; }
};

VarList Take::pullback(const PullbackArgs& p) const {
  return {apply(Put{pick, p.inputs[0].shape()[pick.axis]}, {p.cotangents[0]})};
}

struct Embedding final : Typed<Embedding> {
  TensorView ids;
  Index padding;
  Embedding(const TensorView& kept, Index padding_idx) : ids(kept), padding(padding_idx) {}
  const char* name() const override { return "embedding"; }
  Formula formula() const override {
    return "y[...] = weight[ids[...]];  dweight[ids[...]] += dy[...], without the padding row";
  }
  void attributes(Attributes& a) const override { put(a, "padding_idx", padding); }
  Shape shape(Views in, int) const override { return ids.shape.with_tail(0, {in[0].shape[1]}); }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Index width = in.shape()[1];
    for (Index i = 0; i < ids.size(); ++i)
      std::copy_n(in[0] + ids.data<Index>()[i] * width, width, out[0] + i * width);
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    scatter_into(rows(), g.dy(), Shape{ids.size(), g.x_shape()[1]}, g.dx(), g.x_shape());
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Shape& weight = p.inputs[0].shape();
    return {apply(Put{rows(), weight[0]}, {reshape(p.cotangents[0], Shape{ids.size(), weight[1]})})};
  }

 private:
  Pick rows() const { return {0, {ids.bytes, Shape{ids.size()}, ids.dtype}, false, padding}; }
};

/// Checks every id against [0, bound), the rows of a matrix or (axis >= 0) the elements along an axis.
void check_ids(std::string_view op, const Tensor& ids, Index bound, int axis = -1) {
  const TensorView view = ids.view();
  for (Index i = 0; i < view.size(); ++i) {
    const Index id = view.data<Index>()[i];
    if (id >= 0 && id < bound) [[likely]]
      continue;
    Shape position = view.shape;
    Index rest = i;
    for (int k = view.shape.rank(); k-- > 0; rest /= view.shape[k]) position[k] = rest % view.shape[k];
    throw Error(fmt::format("{}: id {} at position {} is out of range for {} {}", op, id, position, bound,
                            axis < 0 ? "rows" : fmt::format("elements along axis {}", axis)));
  }
}

void check_dtype(std::string_view op, const Tensor& ids) {
  expects(ids.dtype() == DType::i64, "{}: ids must be i64, got {} of shape {}; make them with Tensor::ids",
          op, dtype_name(ids.dtype()), ids.shape());
}

}  // namespace

void check_embedding(const Shape& weight, const Tensor& ids, std::optional<Index> padding_idx) {
  check_dtype("embedding", ids);
  expects(weight.rank() == 2, "embedding: weight must be [rows, width], got {}", weight);
  expects(!padding_idx || (*padding_idx >= 0 && *padding_idx < weight[0]),
          "embedding: padding_idx {} is out of range for {} rows", padding_idx.value_or(0), weight[0]);
  check_ids("embedding", ids, weight[0]);
}

Var embedding(const Var& weight, const Tensor& ids, std::optional<Index> padding_idx) {
  Tape& tape = weight.tape("embedding");
  check_embedding(weight.shape(), ids, padding_idx);
  return tape.with_rollback([&] {
    return apply(Embedding{tape.copy_to_arena(ids), padding_idx.value_or(-1)}, {weight});
  });
}

Var gather(const Var& x, int axis, const Tensor& ids) {
  Tape& tape = x.tape("gather");
  const Shape &from = x.shape(), &to = ids.shape();
  const int at = checked_axis("gather", axis, from);
  check_dtype("gather", ids);
  bool fits = to.rank() == from.rank();
  for (int i = 0; fits && i < from.rank(); ++i) fits = i == at || to[i] == from[i];
  expects(fits, "gather: x {} and ids {} do not fit; only the extents of axis {} may differ", from, to, axis);
  check_ids("gather", ids, from[at], at);
  return tape.with_rollback([&] { return apply(Take{Pick{at, tape.copy_to_arena(ids), true}}, {x}); });
}

Var scatter_add(const Var& x, int axis, const Tensor& ids, Index extent) {
  Tape& tape = x.tape("scatter_add");
  const int at = checked_axis("scatter_add", axis, x.shape());
  check_dtype("scatter_add", ids);
  expects(ids.shape() == x.shape(), "scatter_add: x {} and ids {} must have one shape", x.shape(),
          ids.shape());
  expects(extent >= 0, "scatter_add: extent {} is negative", extent);
  check_ids("scatter_add", ids, extent, at);
  return tape.with_rollback([&] { return apply(Put{Pick{at, tape.copy_to_arena(ids), true}, extent}, {x}); });
}

Var index_select(const Var& x, int axis, const Tensor& ids) {
  Tape& tape = x.tape("index_select");
  const int at = checked_axis("index_select", axis, x.shape());
  check_dtype("index_select", ids);
  expects(ids.rank() == 1,
          "index_select: ids must have one axis, got shape {}; gather takes an id for every element",
          ids.shape());
  check_ids("index_select", ids, x.shape()[at], at);
  return tape.with_rollback([&] { return apply(Take{Pick{at, tape.copy_to_arena(ids)}}, {x}); });
}

Var index_add(const Var& x, int axis, const Tensor& ids, Index extent) {
  Tape& tape = x.tape("index_add");
  const int at = checked_axis("index_add", axis, x.shape());
  check_dtype("index_add", ids);
  expects(ids.shape() == Shape{x.shape()[at]},
          "index_add: x {} and ids {} do not fit: ids must be [{}], one for each index of axis {}", x.shape(),
          ids.shape(), x.shape()[at], axis);
  expects(extent >= 0, "index_add: extent {} is negative", extent);
  check_ids("index_add", ids, extent, at);
  return tape.with_rollback([&] { return apply(Put{Pick{at, tape.copy_to_arena(ids)}, extent}, {x}); });
}

}  // namespace tapegrad
