// However far a batch is padded, and whatever stands there: real positions keep their bits, in values and in
// gradients.
#include "random_masks.h"

#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tests/support/small_seq2seq.h>

#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
namespace {

/// [batch, time, width] with `extra` more steps behind, filled with anything, or with zeros.
Tensor longer(const Tensor& x, Index extra, bool filled) {
  const Index batch = x.shape()[0], time = x.shape()[1], width = x.shape()[2];
  const Shape shape{batch, time + extra, width};
  Tensor result = filled ? sample_values(shape, -9, 9, 77).to(x.dtype()) : Tensor(shape, x.dtype());
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (Index b = 0; b < batch; ++b)
      std::copy_n(x.data<T>() + b * time * width, time * width,
                  result.data<T>() + b * (time + extra) * width);
  });
  return result;
}

Tensor longer_ids(const Tensor& ids, Index extra, Index pad) {
  const Index batch = ids.shape()[0], time = ids.shape()[1];
  Tensor result({batch, time + extra}, DType::i64);
  std::fill_n(result.data<Index>(), result.size(), pad);
  for (Index b = 0; b < batch; ++b)
    std::copy_n(ids.data<Index>() + b * time, time, result.data<Index>() + b * (time + extra));
  return result;
}

/// The first lengths[b] steps of example b, one after another.
std::vector<double> real(const Tensor& x, const std::vector<Index>& lengths) {
  const std::vector<double> all = x.to_vector();
  const Index time = x.shape()[1], width = x.shape()[2];
  std::vector<double> result;
  for (Index b = 0; b < x.shape()[0]; ++b) {
    const auto begin = all.begin() + b * time * width;
    result.insert(result.end(), begin, begin + lengths[static_cast<std::size_t>(b)] * width);
  }
  return result;
}

/// x, and 0 behind the lengths.
Tensor cut(const Tensor& x, const std::vector<Index>& lengths) {
  Tensor result = x.clone();
  const Index time = x.shape()[1], width = x.shape()[2];
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (Index b = 0; b < x.shape()[0]; ++b)
      for (Index i = lengths[static_cast<std::size_t>(b)] * width; i < time * width; ++i)
        result.data<T>()[b * time * width + i] = 0;
  });
  return result;
}

std::vector<Index> random_lengths(test::Draws& draws, Index batch, Index longest) {
  std::vector<Index> lengths;
  for (Index b = 0; b < batch; ++b) lengths.push_back(draws.between(1, longest));
  return lengths;
}

Mask key_mask(const std::vector<Index>& lengths, Index time) {
  Tensor keep({static_cast<Index>(lengths.size()), time}, DType::boolean);
  for (std::size_t b = 0; b < lengths.size(); ++b)
    std::fill_n(keep.data<std::uint8_t>() + static_cast<Index>(b) * time, lengths[b], std::uint8_t{1});
  return Mask::keys(keep);
}

/// Random sizes and sequences, padded by `extra` steps more or not at all.
struct Padded {
  Index d_model, heads, batch, source, target, extra_source, extra_target;
  bool filled, by_lengths, norm_first;
  DType dtype;
  std::vector<Index> sources, targets;

  explicit Padded(std::uint64_t seed) {
    test::Draws draws(seed);
    heads = draws.between(1, 4);
    d_model = heads * 2 * draws.between(2, 4);  // even: sinusoids come in pairs
    batch = draws.between(1, 3);
    source = draws.between(1, 9);
    target = draws.between(1, 9);
    extra_source = draws.between(0, 20);
    extra_target = draws.between(0, 20);
    filled = draws.chance(0.5);
    by_lengths = draws.chance(0.5);
    norm_first = draws.chance(0.5);
    dtype = draws.chance(0.5) ? DType::f32 : DType::f64;
    sources = random_lengths(draws, batch, source);
    targets = random_lengths(draws, batch, target);
  }

  TransformerOptions options() const {
    TransformerOptions result = test::small_options(0, d_model, heads).transformer;
    result.norm_first = norm_first;
    return result;
  }
  Mask mask(const std::vector<Index>& lengths, Index time) const {
    return by_lengths ? Mask::from_lengths(lengths) : key_mask(lengths, time);
  }
  double tolerance() const { return dtype == DType::f64 ? 1e-12 : 1e-6; }
};

/// Value, gradients of the inputs and of the parameters.
struct Result {
  Tensor value;
  std::vector<Tensor> inputs, params;
};

template <class Forward>
Result run(const Padded& p, bool fused, const ParameterStore& params, const std::vector<Tensor>& inputs,
           const Tensor& cotangent, Forward forward) {
  Tape tape({.dtype = p.dtype, .fused = fused});
  std::vector<Var> in;
  for (const Tensor& x : inputs) in.push_back(tape.variable(x));
  const Var y = forward(in);
  const Gradients g = tape.backward(y, {.cotangent = cotangent});
  Result result{y.value().clone(), {}, {}};
  for (const Var& x : in) result.inputs.push_back(g[x].clone());
  for (const Parameter& parameter : params)
    result.params.push_back(g.contains(parameter) ? g[parameter].clone()
                                                  : Tensor(parameter.shape(), parameter.value().dtype()));
  return result;
}

/// The gradient of an input is that without padding, and zeros behind.
void check_gradient(const Tensor& padded, const Tensor& plain, const std::vector<Index>& lengths) {
  BOOST_TEST(real(padded, lengths) == real(plain, lengths), boost::test_tools::per_element());
  BOOST_TEST(padded.to_vector() == cut(padded, lengths).to_vector(), "padding has a gradient");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(padding)

BOOST_AUTO_TEST_CASE(encoders) {
  test::for_seeds(200, [](std::uint64_t seed) {
    const Padded p(seed);
    ParameterStore params{seed, p.dtype};
    const Encoder encoder(params.root(), p.options());
    test::shake(params);
    const Tensor x = sample_values({p.batch, p.source, p.d_model}, -2, 2, seed).to(p.dtype),
                 c = cut(sample_values(x.shape(), -1, 1, seed + 1).to(p.dtype), p.sources);
    for (const bool fused : {true, false}) {
      const auto encode = [&](Index extra, bool filled) {
        return run(
            p, fused, params, {longer(x, extra, filled)}, longer(c, extra, false),
            [&](const std::vector<Var>& in) { return encoder(in[0], p.mask(p.sources, p.source + extra)); });
      };
      const Result plain = encode(0, false), padded = encode(p.extra_source, p.filled);
      BOOST_TEST(real(padded.value, p.sources) == real(plain.value, p.sources),
                 boost::test_tools::per_element());
      check_gradient(padded.inputs[0], plain.inputs[0], p.sources);
      const double error = test::difference(padded.params, plain.params);
      BOOST_TEST(error <= p.tolerance());
    }
  });
}

BOOST_AUTO_TEST_CASE(decoders) {
  test::for_seeds(200, [](std::uint64_t seed) {
    const Padded p(seed);
    ParameterStore params{seed, p.dtype};
    const Decoder decoder(params.root(), p.options());
    test::shake(params);
    const Tensor x = sample_values({p.batch, p.target, p.d_model}, -2, 2, seed).to(p.dtype),
                 memory = sample_values({p.batch, p.source, p.d_model}, -2, 2, seed + 1).to(p.dtype),
                 c = cut(sample_values(x.shape(), -1, 1, seed + 2).to(p.dtype), p.targets);
    for (const bool fused : {true, false}) {
      const auto decode = [&](Index more_target, Index more_source, bool filled) {
        return run(p, fused, params, {longer(x, more_target, filled), longer(memory, more_source, filled)},
                   longer(c, more_target, false), [&](const std::vector<Var>& in) {
                     return decoder(in[0], in[1], Mask::causal() & p.mask(p.targets, p.target + more_target),
                                    p.mask(p.sources, p.source + more_source));
                   });
      };
      const Result plain = decode(0, 0, false), padded = decode(p.extra_target, p.extra_source, p.filled);
      BOOST_TEST(real(padded.value, p.targets) == real(plain.value, p.targets),
                 boost::test_tools::per_element());
      check_gradient(padded.inputs[0], plain.inputs[0], p.targets);
      check_gradient(padded.inputs[1], plain.inputs[1], p.sources);
      const double error = test::difference(padded.params, plain.params);
      BOOST_TEST(error <= p.tolerance());
    }
  });
}

BOOST_AUTO_TEST_CASE(losses_of_sequence_to_sequence) {
  test::for_seeds(200, [](std::uint64_t seed) {
    const Padded p(seed);
    Seq2SeqOptions options = test::small_options();
    options.transformer = p.options();
    options.max_length = 40;
    options.positions = seed % 2 == 0 ? Positions::sinusoidal : Positions::learned;
    options.tie_embeddings = seed % 3 == 0;
    ParameterStore params{seed, p.dtype};
    const Seq2Seq model(params.root(), options);
    test::shake(params);
    const Seq2SeqBatch batch =
        make_batch(test::sentences(p.batch, 1, p.source, 11, seed),
                   test::sentences(p.batch, 1, p.target, 13, seed + 1), test::bos, test::eos);
    Seq2SeqBatch wide = batch;
    wide.source = longer_ids(batch.source, p.extra_source, options.pad);
    wide.target_in = longer_ids(batch.target_in, p.extra_target, options.pad);
    wide.target_out = longer_ids(batch.target_out, p.extra_target, options.pad);
    std::vector<Index> lengths(static_cast<std::size_t>(p.batch));
    for (Index i = 0; i < batch.target_out.size(); ++i)
      lengths[static_cast<std::size_t>(i / batch.target_out.shape()[1])] +=
          batch.target_out.data<Index>()[i] != options.pad;
    for (const bool fused : {true, false}) {
      const auto logits = [&](const Seq2SeqBatch& b) {
        Tape tape({.dtype = p.dtype, .fused = fused, .record = false});
        return real(model(tape, b).value(), lengths);
      };
      BOOST_TEST(logits(wide) == logits(batch), boost::test_tools::per_element());
      const auto loss = [&](const Seq2SeqBatch& b) {
        Tape tape({.dtype = p.dtype, .fused = fused});
        const Var y = model.loss_sum(tape, b, 0.1);
        const Gradients g = tape.backward(y);
        std::pair<double, std::vector<Tensor>> result{y.item(), {}};
        for (const Parameter& parameter : params)
          result.second.push_back(g.contains(parameter)
                                      ? g[parameter].clone()
                                      : Tensor(parameter.shape(), parameter.value().dtype()));
        return result;
      };
      const auto plain = loss(batch), padded = loss(wide);
      BOOST_TEST(std::abs(padded.first - plain.first) <= p.tolerance() * std::abs(plain.first));
      const double error = test::difference(padded.second, plain.second);
      BOOST_TEST(error <= p.tolerance());
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
