#include <tapegrad/nn/decode/beam.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <memory>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

using Ids = std::vector<Index>;
constexpr Index vocabulary = 5, bos = 1, eos = 2, longest = 4;

/// An untrained model with strong opinions.
struct Tiny {
  ParameterStore params;
  Seq2Seq network;

  explicit Tiny(std::uint64_t seed, Index max_length = 16)
      : params(seed),
        network(params.root(), {.source_vocabulary = 6,
                                .target_vocabulary = vocabulary,
                                .transformer = {.d_model = 8,
                                                .nhead = 2,
                                                .num_encoder_layers = 1,
                                                .num_decoder_layers = 1,
                                                .dim_feedforward = 8},
                                .max_length = max_length}) {
    params.at("generator.weight").update([](Tensor& w) { w.array<float>() *= 2; });
  }
};

/// log p of every next token after bos and `prefix`.
std::vector<double> next_log_probabilities(const Tiny& model, const Ids& source, const Ids& prefix) {
  Tape tape({.record = false});
  const Seq2SeqBatch batch = make_batch({&source, 1}, {&prefix, 1}, bos, eos, -1);
  const Tensor logits = model.network(tape, batch).value();
  std::vector<double> row(vocabulary);
  double sum = 0;
  for (Index t = 0; t < vocabulary; ++t)
    sum += std::exp(row[static_cast<std::size_t>(t)] = logits.at({0, static_cast<Index>(prefix.size()), t}));
  for (double& x : row) x -= std::log(sum);
  return row;
}

/// The best of all outputs there are.
Hypothesis brute_force(const std::vector<const Tiny*>& models, const Ids& source, double alpha) {
  Hypothesis best{{}, -1e300};
  const std::function<void(const Ids&, double)> visit = [&](const Ids& prefix, double sum) {
    const auto length = static_cast<double>(prefix.size());
    const auto offer = [&](double total, double tokens) {
      if (total / std::pow(tokens, alpha) > best.score) best = {prefix, total / std::pow(tokens, alpha)};
    };
    if (prefix.size() == longest) return offer(sum, length);
    std::vector<double> mean(vocabulary);
    for (const Tiny* model : models) {
      const std::vector<double> row = next_log_probabilities(*model, source, prefix);
      for (std::size_t t = 0; t < mean.size(); ++t) mean[t] += row[t] / static_cast<double>(models.size());
    }
    offer(sum + mean[eos], length + 1);
    for (Index token = 0; token < vocabulary; ++token) {
      if (token == eos) continue;
      Ids next = prefix;
      next.push_back(token);
      visit(next, sum + mean[static_cast<std::size_t>(token)]);
    }
  };
  visit({}, 0);
  return best;
}

Hypothesis search(const std::vector<const Tiny*>& models, const Ids& source, const BeamOptions& options) {
  std::vector<std::unique_ptr<Tape>> tapes;
  std::vector<const Seq2Seq*> networks;
  std::vector<Tape*> pointers;
  for (const Tiny* model : models) {
    networks.push_back(&model->network);
    pointers.push_back(tapes.emplace_back(std::make_unique<Tape>(TapeOptions{.record = false})).get());
  }
  return beam_decode(networks, pointers, std::vector<Ids>(models.size(), source), options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(beam)

BOOST_AUTO_TEST_CASE(a_beam_of_everything_finds_the_best) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const Tiny one(seed), two(seed + 100);
    for (const double alpha : {0.0, 1.0}) {
      for (const auto& models : {std::vector<const Tiny*>{&one}, std::vector<const Tiny*>{&one, &two}}) {
        const Ids source = {3, 5, 4};
        const Hypothesis expected = brute_force(models, source, alpha);
        const Hypothesis found =
            search(models, source, {.beam = 625, .length_penalty = alpha, .max_length = longest});
        BOOST_TEST(found.tokens == expected.tokens, boost::test_tools::per_element());
        BOOST_TEST(found.score == expected.score, boost::test_tools::tolerance(1e-5));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_beam_of_one_is_greedy) {
  int ended = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Tiny model(seed, seed % 2 == 0 ? 16 : 6);
    const std::vector<Ids> sources = {{3, 4, 5}, {5}};
    Tape tape({.record = false});
    const std::vector<Ids> greedy = greedy_decode(model.network, tape, sources, {.max_length = 8});
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const Ids found = search({&model}, sources[i], {.beam = 1, .max_length = 8}).tokens;
      BOOST_TEST(found == greedy[i], boost::test_tools::per_element());
      ended += greedy[i].size() < 6;
    }
  }
  BOOST_TEST(ended > 0);
}

BOOST_AUTO_TEST_CASE(mistakes) {
  const auto message = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const Tiny model(1);
  BOOST_TEST(message([&] { search({&model}, {3}, {.beam = 0}); }) ==
             "beam_decode: beam 0 and max_length 128 must be at least 1");
  BOOST_TEST(message([&] { beam_decode({}, {}, {}); }) ==
             "beam_decode: 0 models, 0 tapes and 0 sources, expected one of each for every model");
}

BOOST_AUTO_TEST_SUITE_END()
