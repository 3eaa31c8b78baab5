#include "index.h"

#include <cstring>

#include "../gradcheck/samples.h"
#include "../tensor/axis.h"
#include "arithmetic.h"
#include "reshape.h"

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
void pick_from(const Pick& pick, const TensorView& x, const TensorView& y, bool add) {
  dispatch(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    pick.runs(x.shape, y.shape, [=](Index x_at, Index y_at, Index n) {
      for (Index i = 0; i < n; ++i) to[y_at + i] = add ? to[y_at + i] + from[x_at + i] : from[x_at + i];
    });
  });
}

/// x[ids[j]] += y[j].
void scatter_into(const Pick& pick, const TensorView& y, const TensorView& x) {
  dispatch(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = y.data<T>();
    T* to = x.data<T>();
    pick.runs(x.shape, y.shape, [=](Index x_at, Index y_at, Index n) {
      for (Index i = 0; i < n; ++i) to[x_at + i] += from[y_at + i];
    });
  });
}

/// y = x[ids]: gather and index_select.
struct Take final : Primitive {
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
  void forward(Views in, Views out) const override {
    if (pick.skip >= 0) std::memset(out[0].bytes, 0, out[0].byte_count());
    pick_from(pick, in[0], out[0], false);
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    if (args.dinputs[0]) scatter_into(pick, args.doutputs[0], args.dinputs[0]);
  }
  VarList pullback(const PullbackArgs& p) const override;
};

/// y = zeros, y[ids] += x: scatter_add and index_add.
struct Put final : Primitive {
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
  void forward(Views in, Views out) const override {
    std::memset(out[0].bytes, 0, out[0].byte_count());
    scatter_into(pick, in[0], out[0]);
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    if (args.dinputs[0]) pick_from(pick, args.doutputs[0], args.dinputs[0], true);
  }
  VarList pullback(const PullbackArgs& p) const override { return {apply(Take{pick}, {p.cotangents[0]})}; }
};

VarList Take::pullback(const PullbackArgs& p) const {
  return {apply(Put{pick, p.inputs[0].shape()[pick.axis]}, {p.cotangents[0]})};
}

struct Embedding final : Primitive {
  TensorView ids;
  Index padding;
  Embedding(const TensorView& kept, Index padding_idx) : ids(kept), padding(padding_idx) {}
  const char* name() const override { return "embedding"; }
  Formula formula() const override {
    return "y[...] = weight[ids[...]];  dweight[ids[...]] += dy[...], without the padding row";
  }
  void attributes(Attributes& a) const override { put(a, "padding_idx", padding); }
  Shape shape(Views in, int) const override { return ids.shape.with_tail(0, {in[0].shape[1]}); }
  void forward(Views in, Views out) const override {
    const Index width = in[0].shape[1];
    for (Index i = 0; i < ids.size(); ++i)
      copy_blocks({in[0], ids.data<Index>()[i] * width, 0}, {out[0], i * width, 0}, 1, width);
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    const TensorView &dy = args.doutputs[0], &dweight = args.dinputs[0];
    if (dweight) scatter_into(rows(), {dy.bytes, Shape{ids.size(), dweight.shape[1]}, dy.dtype}, dweight);
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
  return tape.attempt([&] { return apply(Embedding{tape.keep(ids), padding_idx.value_or(-1)}, {weight}); });
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
  return tape.attempt([&] { return apply(Take{Pick{at, tape.keep(ids), true}}, {x}); });
}

Var scatter_add(const Var& x, int axis, const Tensor& ids, Index extent) {
  Tape& tape = x.tape("scatter_add");
  const int at = checked_axis("scatter_add", axis, x.shape());
  check_dtype("scatter_add", ids);
  expects(ids.shape() == x.shape(), "scatter_add: x {} and ids {} must have one shape", x.shape(),
          ids.shape());
  expects(extent >= 0, "scatter_add: extent {} is negative", extent);
  check_ids("scatter_add", ids, extent, at);
  return tape.attempt([&] { return apply(Put{Pick{at, tape.keep(ids), true}, extent}, {x}); });
}

Var index_select(const Var& x, int axis, const Tensor& ids) {
  Tape& tape = x.tape("index_select");
  const int at = checked_axis("index_select", axis, x.shape());
  check_dtype("index_select", ids);
  expects(ids.rank() == 1,
          "index_select: ids must have one axis, got shape {}; gather takes an id for every element",
          ids.shape());
  check_ids("index_select", ids, x.shape()[at], at);
  return tape.attempt([&] { return apply(Take{Pick{at, tape.keep(ids)}}, {x}); });
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
  return tape.attempt([&] { return apply(Put{Pick{at, tape.keep(ids)}, extent}, {x}); });
}

namespace {

using Call = Var (*)(const Var&, const Tensor&);

/// A call, and PyTorch's form of it over a and ids.
struct Indexing {
  Call call;
  const char* torch;
};

Sample sample(std::string label, const Shape& shape, const Tensor& ids, const Indexing& op,
              double scale = 1) {
  return {std::move(label),
          {sample_values(shape, -2 * scale, 2 * scale)},
          [=](const std::vector<Var>& in) { return op.call(in[0], ids); },
          op.torch,
          {{"ids", ids}}};
}

/// x ⊙ call(x, ids), where the result has x's shape.
Sample repeated(const Shape& shape, const Tensor& ids, const Indexing& op) {
  return {"repeated input",
          {sample_values(shape)},
          [=](const std::vector<Var>& in) { return in[0] * op.call(in[0], ids); },
          fmt::format("a * {}", op.torch),
          {{"ids", ids}}};
}

Tensor no_ids(const Shape& shape) { return Tensor(shape, DType::i64); }

const OpSamples embedding_samples("embedding", [] {
  const Indexing plain = {[](const Var& w, const Tensor& ids) { return embedding(w, ids); },
                          "F.embedding(ids, a)"};
  return std::vector<Sample>{sample("repeated ids", {4, 3}, Tensor::ids({{1, 3, 1}, {0, 1, 3}}), plain),
                             sample("rank 0", {4, 3}, Tensor::ids(2), plain),
                             sample("no ids", {4, 3}, no_ids({2, 0}), plain),
                             sample("width 0", {4, 0}, Tensor::ids({1, 2}), plain),
                             sample("one row", {1, 3}, Tensor::ids({0, 0}), plain),
                             sample("small magnitude", {4, 2}, Tensor::ids({3, 2, 1}), plain, 0.1),
                             sample("large magnitude", {4, 2}, Tensor::ids({3, 2, 3}), plain, 30),
                             repeated({3, 2}, Tensor::ids({2, 0, 2}), plain)};
});

const OpSamples gather_samples("gather", [] {
  const Indexing columns = {[](const Var& x, const Tensor& ids) { return gather(x, -1, ids); },
                            "torch.gather(a, -1, ids)"};
  const Indexing rows = {[](const Var& x, const Tensor& ids) { return gather(x, 0, ids); },
                         "torch.gather(a, 0, ids)"};
  return std::vector<Sample>{sample("columns", {2, 3}, Tensor::ids({{2, 0, 2, 1}, {1, 1, 0, 0}}), columns),
                             sample("rows", {3, 2}, Tensor::ids({{2, 0}, {2, 1}}), rows),
                             sample("three axes", {2, 2, 2}, Tensor::ids({{{0, 1}, {1, 1}}}), rows),
                             sample("size-0 dimension", {3, 0}, no_ids({2, 0}), rows),
                             sample("no ids", {2, 3}, no_ids({2, 0}), columns),
                             sample("size-1 dimension", {1, 1}, Tensor::ids({{0, 0}}), columns),
                             sample("large magnitude", {4}, Tensor::ids({3, 3, 0}), rows, 30),
                             sample("small magnitude", {4}, Tensor::ids({3, 1}), rows, 0.1),
                             repeated({2, 3}, Tensor::ids({{2, 0, 2}, {1, 1, 0}}), columns)};
});

const OpSamples scatter_add_samples("scatter_add", [] {
  const Indexing columns = {[](const Var& x, const Tensor& ids) { return scatter_add(x, -1, ids, 4); },
                            "a.new_zeros((*a.shape[:-1], 4)).scatter_add(-1, ids, a)"};
  const Indexing rows = {[](const Var& x, const Tensor& ids) { return scatter_add(x, 0, ids, 3); },
                         "a.new_zeros((3, *a.shape[1:])).scatter_add(0, ids, a)"};
  return std::vector<Sample>{sample("columns", {2, 3}, Tensor::ids({{2, 0, 2}, {3, 1, 0}}), columns),
                             sample("rows", {2, 2}, Tensor::ids({{2, 0}, {2, 1}}), rows),
                             sample("three axes", {1, 2, 2}, Tensor::ids({{{0, 1}, {2, 1}}}), rows),
                             sample("nothing to add", {2, 0}, no_ids({2, 0}), columns),
                             sample("size-1 dimension", {1, 1}, Tensor::ids({{0}}), columns),
                             sample("large magnitude", {4}, Tensor::ids({2, 2, 0, 1}), rows, 30),
                             sample("small magnitude", {3}, Tensor::ids({2, 0, 2}), rows, 0.1),
                             repeated({1, 4}, Tensor::ids({{2, 0, 2, 3}}), columns)};
});

const OpSamples index_select_samples("index_select", [] {
  const Indexing columns = {[](const Var& x, const Tensor& ids) { return index_select(x, -1, ids); },
                            "torch.index_select(a, -1, ids)"};
  const Indexing rows = {[](const Var& x, const Tensor& ids) { return index_select(x, 0, ids); },
                         "torch.index_select(a, 0, ids)"};
  return std::vector<Sample>{sample("columns", {2, 3}, Tensor::ids({2, 0, 2, 1}), columns),
                             sample("rows", {3, 2}, Tensor::ids({2, 0}), rows),
                             sample("three axes", {2, 2, 2}, Tensor::ids({1, 0, 1}), rows),
                             sample("size-0 dimension", {3, 0}, Tensor::ids({1, 1}), rows),
                             sample("no ids", {2, 3}, no_ids({0}), columns),
                             sample("size-1 dimension", {1, 1}, Tensor::ids({0, 0}), columns),
                             sample("large magnitude", {4}, Tensor::ids({3, 3, 0}), rows, 30),
                             sample("small magnitude", {4}, Tensor::ids({3, 1}), rows, 0.1),
                             repeated({2, 3}, Tensor::ids({2, 0, 2}), columns)};
});

const OpSamples index_add_samples("index_add", [] {
  const Indexing columns = {[](const Var& x, const Tensor& ids) { return index_add(x, -1, ids, 4); },
                            "a.new_zeros((*a.shape[:-1], 4)).index_add(-1, ids, a)"};
  const Indexing rows = {[](const Var& x, const Tensor& ids) { return index_add(x, 0, ids, 3); },
                         "a.new_zeros((3, *a.shape[1:])).index_add(0, ids, a)"};
  // The pullback of an embedding with a padding row, as an op of its own: what arrives at row 1 is dropped.
  const Indexing padded = {[](const Var& w, const Tensor& ids) {
                             return apply(Put{Pick{0, w.tape().keep(ids), false, 1}, 4}, {w});
                           },
                           "a.new_zeros((4, 3)).index_add(0, ids, a * (ids != 1)[:, None])"};
  return std::vector<Sample>{sample("columns", {2, 3}, Tensor::ids({2, 0, 2}), columns),
                             sample("rows", {2, 2}, Tensor::ids({2, 0}), rows),
                             sample("three axes", {3, 2, 2}, Tensor::ids({1, 0, 1}), rows),
                             sample("nothing to add", {2, 0}, no_ids({0}), columns),
                             sample("size-1 dimension", {1, 1}, Tensor::ids({0}), columns),
                             sample("without a padding row", {4, 3}, Tensor::ids({1, 0, 3, 0}), padded),
                             sample("large magnitude", {4}, Tensor::ids({2, 2, 0, 1}), rows, 30),
                             sample("small magnitude", {3}, Tensor::ids({2, 0, 2}), rows, 0.1),
                             repeated({2, 4}, Tensor::ids({2, 0, 2, 3}), columns)};
});

}  // namespace
}  // namespace tapegrad
