/// The two systems of docs/article.md: attention over one sequence, and a Transformer from vectors to
/// vectors.
#pragma once
#include <cmath>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/linear.h>
#include <tapegrad/nn/positional.h>
#include <tapegrad/nn/transformer.h>

namespace tapegrad::article {

/// softmax(Q Kᵀ / √d_k) V for one sequence, as three ops that a tape records one by one. The fused op
/// tapegrad::attention computes it for batches and heads.
/// Q [query, d_k], K [key, d_k], V [key, d_v] -> [query, d_v]
inline Var attention(const Var& Q, const Var& K, const Var& V) {
  expects(Q.rank() == 2 && K.rank() == 2 && V.rank() == 2, "attention: Q {}, K {} and V {} must be matrices",
          Q.shape(), K.shape(), V.shape());
  const double d_k = static_cast<double>(K.shape()[1]);                     // the width of a key
  const Var scores = matmul(Q, K, {.transpose_b = true}) / std::sqrt(d_k);  // [query, key]
  const Var weights = softmax(scores);                                      // every row sums to 1
  return matmul(weights, V);                                                // rows of V, mixed
}

/// The options of a Transformer besides its four sizes.
struct TransformerChoices {
  Index heads = 2;  ///< must divide hidden_dim
  double dropout = 0;
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};

/// Encoder and decoder over sequences of vectors (Vaswani et al., 2017). Inside, everything is `hidden_dim`
/// wide (the feed-forward networks 4 · hidden_dim); `n_layers` counts the layers of the encoder, and of the
/// decoder.
class Transformer {
 public:
  Transformer(Index input_dim, Index output_dim, Index hidden_dim, Index n_layers,
              const TransformerChoices& choices = {})
      : params_(choices.seed, choices.dtype),
        width_(output_dim),
        source_(params_.root() / "source", input_dim, hidden_dim),
        target_(params_.root() / "target", output_dim, hidden_dim),
        positions_(params_.root(), longest, hidden_dim),
        core_(params_.root() / "transformer", {.d_model = hidden_dim,
                                               .nhead = choices.heads,
                                               .num_encoder_layers = n_layers,
                                               .num_decoder_layers = n_layers,
                                               .dim_feedforward = 4 * hidden_dim,
                                               .dropout = choices.dropout}),
        output_(params_.root() / "output", hidden_dim, output_dim) {}

  /// Output t from all of x and from y before t, for training, where y is known.
  /// x [batch, source, input_dim], y [batch, target, output_dim] -> [batch, target, output_dim]
  Var operator()(const Var& x, const Var& y) const {
    expects(x.rank() == 3 && y.rank() == 3 && x.shape()[0] == y.shape()[0] && y.shape()[1] > 0,
            "Transformer: x must be [batch, source, input_dim], got {}, and y [batch, target, output_dim], "
            "got {}",
            x.shape(), y.shape());
    const Index time = y.shape()[1];
    const Var before = pad(slice(y, 1, 0, time - 1), 1, 1, 0);  // a row of zeros, then y without its last
    return output_(decode(before, encode(x)));
  }

  /// One output for every input, each decoded from those before it: x -> output.
  /// x [batch, time, input_dim] -> [batch, time, output_dim]; or both without batch
  Var operator()(const Var& x) const {
    if (x.rank() == 2) return squeeze((*this)(unsqueeze(x, 0)), 0);
    expects(x.rank() == 3, "Transformer: x must be [batch, time, input_dim] or [time, input_dim], got {}",
            x.shape());
    const Index time = x.shape()[1];
    const Var memory = encode(x);
    Var y = x.tape().full({x.shape()[0], 1, width_}, 0);
    for (Index t = 0; t < time; ++t)
      y = concat({y, output_(slice(decode(y, memory), 1, t, 1))}, 1);  // [batch, t + 2, output_dim]
    return slice(y, 1, 1, time);
  }

  ParameterStore& params() { return params_; }

 private:
  static constexpr Index longest = 512;

  Var encode(const Var& x) const { return core_.encoder(positions_(source_(x))); }
  /// y [batch, target, output_dim], memory [batch, source, hidden_dim] -> [batch, target, hidden_dim]
  Var decode(const Var& y, const Var& memory) const {
    return core_.decoder(positions_(target_(y)), memory, Mask::causal());
  }

  ParameterStore params_;
  Index width_;
  nn::Linear source_, target_;
  nn::SinusoidalPositions positions_;
  nn::Transformer core_;
  nn::Linear output_;
};

}  // namespace tapegrad::article
