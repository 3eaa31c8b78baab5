#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
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
  // The pullback of an embedding with a padding row, for ids {1, …}: row 1 gets nothing.
  const Indexing padded = {[](const Var& w, const Tensor& ids) {
                             const Tensor padding = Tensor::of({{1}, {0}, {0}, {0}}, DType::boolean);
                             return index_add(masked_fill(w, padding, 0), 0, ids, 4);
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
