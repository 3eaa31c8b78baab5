#include "embedding.h"

#include "../autograd/ops/index.h"
#include "init.h"

namespace tapegrad::nn {
namespace {

Initializer table_init(const EmbeddingOptions& options, Index count) {
  const Initializer init = options.init ? options.init : normal();
  if (!options.padding_idx) return init;
  expects(*options.padding_idx >= 0 && *options.padding_idx < count,
          "Embedding: padding_idx {} is out of range for {} rows", *options.padding_idx, count);
  return with_zero_row(init, *options.padding_idx);
}

}  // namespace

Embedding::Embedding(const Scope& scope, Index count, Index width, const EmbeddingOptions& options)
    : Layer(scope),
      weight(scope.parameter("weight", {count, width}, table_init(options, count))),
      padding_idx(options.padding_idx) {}

Var Embedding::forward(Tape& tape, const Tensor& ids) const {
  return embedding(tape[weight], ids, padding_idx);
}

}  // namespace tapegrad::nn
