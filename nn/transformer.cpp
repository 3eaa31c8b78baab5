#include "transformer.h"

namespace tapegrad::nn {
namespace {

const TransformerOptions& checked(const TransformerOptions& o) {
  expects(o.d_model > 0 && o.nhead > 0 && o.dim_feedforward > 0 && o.num_encoder_layers >= 0 &&
              o.num_decoder_layers >= 0,
          "Transformer: d_model {}, nhead {} and dim_feedforward {} must be positive, layers ({} and {}) not "
          "negative",
          o.d_model, o.nhead, o.dim_feedforward, o.num_encoder_layers, o.num_decoder_layers);
  expects(o.dropout >= 0 && o.dropout < 1, "Transformer: dropout {} is not in [0, 1)", o.dropout);
  return o;
}

}  // namespace

Transformer::Transformer(const Scope& scope, const TransformerOptions& options)
    : Layer(scope), encoder(scope / "encoder", checked(options)), decoder(scope / "decoder", options) {}

Var Transformer::forward(const Var& source, const Var& target, const TransformerMasks& masks) const {
  // [batch, target, d_model]
  return decoder(target, encoder(source, masks.source), masks.target, masks.memory);
}

}  // namespace tapegrad::nn
