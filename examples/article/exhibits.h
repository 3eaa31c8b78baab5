/// The mistakes that docs/article.md names, each as a function that returns the wrong numbers beside the
/// right ones.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "examples/article/article.h"

namespace tapegrad::article {

/// The systems with the mistakes of common printed versions.
namespace as_printed {

/// e^scores without subtracting the maximum, divided by the sum of the whole matrix.
inline Var weights(const Var& Q, const Var& K) {
  const Var e = exp(matmul(Q, K, {.transpose_b = true}) / std::sqrt(static_cast<double>(K.shape()[1])));
  return e / sum(e);
}
inline Var attention(const Var& Q, const Var& K, const Var& V) { return matmul(weights(Q, K), V); }

/// One layer of each kind for any `n_layers`, with input_dim as the width, hidden_dim as the number of heads,
/// and `output_dim` unused. The decoder gets its own input as memory, without which it does not run.
struct Transformer : nn::Layer<Transformer> {
  Transformer(const Scope& s, Index input_dim, Index /*output_dim*/, Index hidden_dim, Index /*n_layers*/)
      : Layer(s),
        encoder(s / "encoder", sizes(input_dim, hidden_dim)),
        decoder(s / "decoder", sizes(input_dim, hidden_dim)) {}
  Var forward(const Var& x) const {
    const Var h = encoder(x);
    return decoder(h, h);
  }
  static nn::TransformerOptions sizes(Index d_model, Index nhead) {
    return {.d_model = d_model, .nhead = nhead, .dropout = 0};
  }

  nn::EncoderLayer encoder;
  nn::DecoderLayer decoder;
};

}  // namespace as_printed

/// Wrong numbers, and the right ones for that question.
struct Numbers {
  std::vector<double> wrong, right;
};

/// True when a decoder layer can be called without the encoder's memory. It cannot; PyTorch finds out at run
/// time.
template <class Kind>
concept DecodesWithoutMemory = requires(const Kind& layer, const Var& x) {
  layer.forward(x);
};

/// Reproducible values in [-1, 1).
inline Tensor noise(Shape shape, std::uint64_t draw) {
  Tensor x(shape);
  for (Index i = 0; i < x.size(); ++i)
    x.data<float>()[i] =
        static_cast<float>(2 * uniform01(random_key(3, draw, 0, 0), static_cast<std::uint64_t>(i)) - 1);
  return x;
}

/// The largest change of any number.
inline double change(const Tensor& before, const Tensor& after) {
  double largest = 0;
  for (Index i = 0; i < before.size(); ++i)
    largest =
        std::max(largest, static_cast<double>(std::abs(before.data<float>()[i] - after.data<float>()[i])));
  return largest;
}

/// Sums of the rows of the weights, three queries over three keys.
inline Numbers row_sums() {
  Tape tape;
  const Var q = tape.constant(noise({3, 4}, 1)), k = tape.constant(noise({3, 4}, 2));
  const Var ours = attention_with_weights(q, k, k).weights;
  return {sum(as_printed::weights(q, k), -1).value().to_vector(), sum(ours, -1).value().to_vector()};
}

/// The change of the first query's result when only the last query changes.
inline Numbers neighbours() {
  Tape tape;
  const Tensor other = noise({3, 4}, 1);
  Tensor changed = other.clone();
  changed.matrix<float>().row(2) *= -10;
  const Var k = tape.constant(noise({3, 4}, 2)), v = tape.constant(noise({3, 2}, 3));
  const auto first = [&](auto&& f, const Tensor& q) {
    return select(f(tape.constant(q), k, v), 0, 0).value();
  };
  const auto wrong = [&](const Tensor& q) { return first(as_printed::attention, q); };
  const auto right = [&](const Tensor& q) { return first(article::attention, q); };
  return {{change(wrong(other), wrong(changed))}, {change(right(other), right(changed))}};
}

/// Attention to two keys with the scores 100 and 99, in f32, where e^89 overflows.
inline Numbers large_scores() {
  Tape tape;
  const Var q = tape.constant({{100}}), k = tape.constant({{1}, {0.99}}), v = tape.constant({{1}, {2}});
  return {as_printed::attention(q, k, v).value().to_vector(),
          article::attention(q, k, v).value().to_vector()};
}

/// Parameters for 1, 2 and 6 layers.
inline Numbers parameters_by_layers() {
  Numbers result;
  for (const Index n_layers : {1, 2, 6}) {
    ParameterStore params;
    as_printed::Transformer(params.root(), 8, 3, 4, n_layers);
    result.wrong.push_back(static_cast<double>(params.trainable_values()));
    result.right.push_back(static_cast<double>(Transformer(8, 3, 4, n_layers).params().trainable_values()));
  }
  return result;
}

/// Width of the result for output_dim = 3 and 5.
inline Numbers widths_by_output_dim() {
  Numbers result;
  for (const Index output_dim : {3, 5}) {
    Tape tape({.record = false});
    const Var x = tape.constant(noise({1, 2, 8}, 1));
    ParameterStore params;
    const as_printed::Transformer printed(params.root(), 8, output_dim, 4, 1);
    const Transformer ours(8, output_dim, 4, 1);
    result.wrong.push_back(static_cast<double>(printed(x).shape()[-1]));
    result.right.push_back(static_cast<double>(ours(x).shape()[-1]));
  }
  return result;
}

/// The error for hidden_dim = 32 as the number of heads and a width of 8.
inline std::string heads_error() {
  try {
    ParameterStore params;
    as_printed::Transformer(params.root(), 8, 3, 32, 1);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// The changes of the decoder's outputs 0, 1, 2 and 3 when only token 2 changes: without a mask, and with the
/// causal mask.
inline Numbers leak() {
  ParameterStore params;
  const nn::DecoderLayer layer(params.root(),
                               {.d_model = 8, .nhead = 2, .dim_feedforward = 16, .dropout = 0});
  Tape tape({.record = false});
  const Tensor tokens = noise({1, 4, 8}, 1);
  Tensor changed = tokens.clone();
  changed.matrix<float>().row(2) *= -1;
  const Var memory = tape.constant(noise({1, 3, 8}, 2));
  const auto moves = [&](const Mask& mask) {
    const Var before = layer(tape.constant(tokens), memory, mask),
              after = layer(tape.constant(changed), memory, mask);
    std::vector<double> result;
    for (Index t = 0; t < 4; ++t)
      result.push_back(change(select(before, 1, t).value(), select(after, 1, t).value()));
    return result;
  };
  return {moves(Mask::none()), moves(Mask::causal())};
}

/// The change of the decoder's output when the source changes: with its own input as memory, and with the
/// encoder's output.
inline Numbers source_effect() {
  ParameterStore params;
  const nn::Transformer model(params.root(), {.d_model = 8,
                                              .nhead = 2,
                                              .num_encoder_layers = 1,
                                              .num_decoder_layers = 1,
                                              .dim_feedforward = 16,
                                              .dropout = 0});
  Tape tape({.record = false});
  const Var y = tape.constant(noise({1, 4, 8}, 1));
  const auto wrong = [&](const Var&) { return model.decoder(y, y, Mask::causal()).value(); };
  const auto right = [&](const Var& x) { return model.decoder(y, model.encoder(x), Mask::causal()).value(); };
  const Var x1 = tape.constant(noise({1, 3, 8}, 2)), x2 = tape.constant(noise({1, 3, 8}, 3));
  return {{change(wrong(x1), wrong(x2))}, {change(right(x1), right(x2))}};
}

/// Two queries over the values (1, 10), (2, 20), (3, 30): weights normalised after the product, and before
/// it.
inline Numbers normalised_product() {
  Tape tape;
  const Var q = tape.constant({{4}, {-4}}), k = tape.constant({{-1}, {0}, {1}});
  const Var v = tape.constant({{1, 10}, {2, 20}, {3, 30}});
  const Var product = matmul(exp(matmul(q, k, {.transpose_b = true})), v);
  return {(product / sum(product, {.axis = -1, .keepdim = true})).value().to_vector(),
          article::attention(q, k, v).value().to_vector()};
}

/// f(x) + f(-x) - 2 f(0) for one token: 0 for any straight line. First two attentions as "one layer", then
/// attention and a feed-forward network.
inline Numbers bend() {
  ParameterStore params;
  const nn::MultiHeadAttention self(params.root() / "self", 4, 2), cross(params.root() / "cross", 4, 2);
  const nn::FeedForward feed_forward(params.root(), 4, 16, Activation::relu, 0, true);
  Tape tape({.record = false});
  const Tensor token = noise({1, 1, 4}, 1);
  const auto bends = [&](auto&& layer) {
    const Var x = tape.constant(token), zero = x * 0.0;
    return change((layer(x) + layer(-x)).value(), (2 * layer(zero)).value());
  };
  const auto wrong = [&](const Var& x) {
    const Var a = x + self(x, x, x);
    return a + cross(a, a, a);
  };
  const auto right = [&](const Var& x) {
    const Var a = x + self(x, x, x);
    return a + feed_forward(a);
  };
  return {{bends(wrong)}, {bends(right)}};
}

/// Weights of the keys (1, 0), (2, 2) and (-1, 0) for the query (1, 0), by each score.
inline std::vector<double> weights_by(nn::Score score) {
  Tape tape;
  const auto row = [&](const Nested& values) { return tape.constant(Tensor::of(values)); };
  const Var q = row({{{{1, 0}}}}), k = row({{{{1, 0}, {2, 2}, {-1, 0}}}});  // [1, 1, time, 2]
  return nn::attention_by_score(q, k, k, {.score = score}).weights.value().to_vector();
}

/// The weights of these keys for a distance as the score, and for its negative.
inline Numbers distance_sign() {
  Tape tape;
  return {softmax(tape.constant({0, std::sqrt(5.0), 2})).value().to_vector(),
          weights_by(nn::Score::negative_distance)};
}

}  // namespace tapegrad::article
