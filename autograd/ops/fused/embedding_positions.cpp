#include "embedding_positions.h"

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
    put(a, "scale", options.scale), put(a, "padding_idx", options.padding_idx),
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
                              ids.size(), width, static_cast<T>(options.scale), options.padding_idx,
                              args.dinputs[0].data<T>(), time(),
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

}  // namespace tapegrad
