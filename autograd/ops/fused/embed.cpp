#include "embed.h"

#include "../../kernels/embedding.h"
#include "../arithmetic.h"
#include "../index.h"
#include "../slice.h"
#include "../typed.h"

namespace tapegrad {
namespace {

void check_positions(const Shape& positions, Index first, Index time) {
  expects(first >= 0 && time <= positions[0] - first,
          "positions: {} time steps, but the table was made for at most {}", first + time, positions[0]);
}

struct Embed final : Typed<Embed, Fused> {
  static constexpr bool composite = true;
  TensorView ids;
  EmbedOptions options;
  std::optional<Index> padding_idx;
  Part layers[2];  // the result of the table is inside the op; the result of the positions is result 0
  Embed(const TensorView& kept, const EmbeddingPart& table, const PositionsPart& positions,
        const EmbedOptions& o)
      : ids(kept), options(o), padding_idx(table.padding_idx), layers{{table.path}, {positions.path, 0}} {}
  const char* name() const override { return "embedding_positions"; }
  Formula formula() const override {
    return "y[t] = scale weight[ids[t]] + positions[t];  dweight[ids[t]] += scale dy[t], dpositions[t] += "
           "dy[t], without the padding row";
  }
  void attributes(Attributes& a) const override {
    put(a, "scale", options.scale), put(a, "padding_idx", padding_idx.value_or(-1)),
        put(a, "first", options.first);
  }
  std::span<const Part> parts() const override { return {layers, layers[0].path != nullptr ? 2U : 0U}; }

  Shape shape(Views in, int) const override {
    const Shape &positions = in[1].shape, &weight = in[0].shape;
    expects(positions.rank() == 2 && positions[1] == weight[1],
            "embedding_positions: positions {} and weight {} do not fit: positions must be [length, {}]",
            positions, weight, weight[1]);
    return ids.shape.with_tail(0, {weight[1]});
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Index width = in.shape()[1];
    kernels::embed(in[0], ids.data<Index>(), ids.size(), width, static_cast<T>(options.scale),
                   in[1] + options.first * width, time(), out[0]);
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Index width = g.x_shape()[1];
    T* dpositions = g.dx(1);
    kernels::embed_backward(g.dy(), ids.data<Index>(), ids.size(), width, static_cast<T>(options.scale),
                            padding_idx.value_or(-1), g.dx(), time(),
                            dpositions ? dpositions + options.first * width : nullptr);
  }

  VarList define(std::span<const Var> in) const override {
    Tape& tape = in[0].tape();
    const Var rows = record_part(tape, layers[0].path, [&] {
      return embedding(in[0], Tensor::borrowed(ids, in[0].id()), padding_idx);
    });
    const Var x = affine(rows, options.scale);
    return {record_part(tape, layers[1].path, [&] { return add_positions(x, in[1], options.first); })};
  }

 private:
  Index time() const { return ids.shape[-1]; }
};

}  // namespace

Var add_positions(const Var& x, const Operand& table, Index first) {
  const Index time = x.rank() >= 2 ? x.shape()[-2] : 0, width = table.shape()[1];
  expects(x.rank() >= 2 && x.shape()[-1] == width, "positions: x must be [.., time, {}], got {}", width,
          x.shape());
  check_positions(table.shape(), first, time);
  return x + slice(x.tape()[table], 0, first, time);  // [time, width], repeated over the leading axes of x
}

Var embed(Tape& tape, const Tensor& ids, const EmbeddingPart& table, const PositionsPart& positions,
          const EmbedOptions& options) {
  expects((table.path == nullptr) == (positions.path == nullptr),
          "embed: only the {} have a layer's path; give both parts a path, or neither",
          table.path != nullptr ? "embeddings" : "positions");
  return tape.with_rollback([&] {
    const Var weight = record_layer(tape, table.path, [&] {
      check_embedding(table.table.shape(), ids, table.padding_idx);
      return tape[table.table];
    });
    const Var rows = record_layer(tape, positions.path, [&] {
      expects(ids.rank() >= 1, "positions: ids must be [.., time], got {}", ids.shape());
      if (positions.table.shape().rank() == 2)  // else Embed::shape throws
        check_positions(positions.table.shape(), options.first, ids.shape()[-1]);
      return tape[positions.table];
    });
    return apply(Embed(tape.copy_to_arena(ids), table, positions, options), {weight, rows});
  });
}

}  // namespace tapegrad
