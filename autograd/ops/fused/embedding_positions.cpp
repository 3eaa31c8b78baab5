#include "embedding_positions.h"

#include "../../gradcheck/samples.h"
#include "../../kernels/embedding.h"
#include "../arithmetic.h"
#include "../index.h"
#include "../slice.h"

namespace tapegrad {
namespace {

struct EmbeddingPositions final : Fused {
  static constexpr bool composite = true;
  TensorView ids;
  EmbeddingPositionsOptions options;
  EmbeddingPositions(const TensorView& kept, const EmbeddingPositionsOptions& o) : ids(kept), options(o) {}
  const char* name() const override { return "embedding_positions"; }
  Formula formula() const override {
    return "y[t] = scale weight[ids[t]] + positions[t];  dweight[ids[t]] += scale dy[t], dpositions[t] += "
           "dy[t], without the padding row";
  }
  void attributes(Attributes& a) const override {
    put(a, "scale", options.scale), put(a, "padding_idx", options.padding_idx.value_or(-1)),
        put(a, "first", options.first);
  }

  Shape shape(Views in, int) const override {
    const Shape &positions = in[1].shape, &weight = in[0].shape;
    expects(ids.shape.rank() >= 1, "embedding_positions: ids must be [.., time], got {}", ids.shape);
    expects(positions.rank() == 2 && positions[1] == weight[1],
            "embedding_positions: positions {} and weight {} do not fit: positions must be [length, {}]",
            positions, weight, weight[1]);
    expects(options.first >= 0 && time() <= positions[0] - options.first,
            "embedding_positions: {} time steps, but the table was made for at most {}",
            options.first + time(), positions[0]);
    return ids.shape.with_tail(0, {weight[1]});
  }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index width = in[0].shape[1];
      kernels::embed(static_cast<const T*>(in[0].data<T>()), ids.data<Index>(), ids.size(), width,
                     static_cast<T>(options.scale), in[1].data<T>() + options.first * width, time(),
                     out[0].data<T>());
    });
  }

  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index width = args.inputs[0].shape[1];
      T* dpositions = args.dinputs[1].data<T>();
      kernels::embed_backward(static_cast<const T*>(args.doutputs[0].data<T>()), ids.data<Index>(),
                              ids.size(), width, static_cast<T>(options.scale),
                              options.padding_idx.value_or(-1), args.dinputs[0].data<T>(), time(),
                              dpositions ? dpositions + options.first * width : nullptr);
    });
  }

  VarList define(std::span<const Var> in) const override {
    const Tensor kept = Tensor::borrowed(ids, in[0].stamp());
    const Var x = affine(embedding(in[0], kept, options.padding_idx), options.scale);
    return {x + slice(in[1], 0, options.first, time())};
  }

 private:
  Index time() const { return ids.shape[-1]; }
};

}  // namespace

Var embedding_positions(const Var& weight, const Var& positions, const Tensor& ids,
                        const EmbeddingPositionsOptions& options) {
  Tape& tape = weight.tape("embedding_positions");
  check_embedding(weight.shape(), ids, options.padding_idx);
  return tape.attempt([&] {
    return apply(EmbeddingPositions{tape.keep(ids), options}, {weight, positions});
  });
}

namespace {

Sample sample(const char* label, const Shape& weight, Index length, const Tensor& ids,
              const EmbeddingPositionsOptions& options, double scale = 1) {
  Sample result{label,
                {sample_values(weight, -2 * scale, 2 * scale),
                 sample_values({length, weight[1]}, -2 * scale, 2 * scale, 2)},
                [=](const std::vector<Var>& in) { return embedding_positions(in[0], in[1], ids, options); }};
  const std::string padding =
      options.padding_idx ? fmt::format(", padding_idx={}", *options.padding_idx) : "";
  const Index end = options.first + ids.shape()[-1];
  result.torch =
      fmt::format("F.embedding(ids, a{}) * {} + b[{}:{}]", padding, options.scale, options.first, end);
  result.constants = {{"ids", ids}};
  return result;
}

const OpSamples embedding_positions_samples("embedding_positions", [] {
  const Tensor batch = Tensor::ids({{1, 0, 3}, {3, 3, 2}});
  std::vector<Sample> samples = {
      sample("batch", {4, 3}, 3, batch, {.scale = 1.5}),
      sample("longer table", {4, 3}, 7, batch, {.scale = 1.5}),
      sample("later positions", {4, 3}, 7, batch, {.scale = 1.5, .first = 3}),
      sample("a padding row that is not met", {5, 3}, 4, batch, {.scale = -2, .padding_idx = 4}),
      sample("one sequence", {4, 3}, 4, Tensor::ids({2, 0, 2, 1}), {.scale = 0.5}),
      sample("wider than a vector register", {3, 21}, 3, Tensor::ids({{2, 0, 2}}), {.scale = 3}),
      sample("no columns", {3, 0}, 3, Tensor::ids({{2, 1}}), {.scale = 2}),
      sample("no tokens", {3, 2}, 3, Tensor({2, 0}, DType::i64), {}),
      sample("no rows", {3, 2}, 3, Tensor({0, 2}, DType::i64), {}),
      sample("size-1 dimensions", {1, 1}, 1, Tensor::ids({{0}}), {.scale = 2}),
      sample("large magnitude", {4, 3}, 3, batch, {.scale = 1.5}, 30),
      sample("small magnitude", {4, 3}, 3, batch, {.scale = 1.5}, 0.1),
  };
  samples.push_back(sample("a padding row that is met", {4, 3}, 3, batch, {.scale = 1.5, .padding_idx = 3}));
  samples.back().differences = false;
  samples.push_back(
      {"repeated input",
       {sample_values({4, 3})},
       [=](const std::vector<Var>& in) { return embedding_positions(in[0], in[0], batch, {.scale = 1.5}); },
       "F.embedding(ids, a) * 1.5 + a[0:3]",
       {{"ids", batch}}});
  return samples;
});

}  // namespace
}  // namespace tapegrad
