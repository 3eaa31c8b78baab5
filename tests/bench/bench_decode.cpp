// Greedy decoding of one sentence, timed: the program of peers/decode_torch.py. Prints one JSON line:
//   us_per_token        of the tokens after the first: (time of `tokens` − time of one) / (tokens − 1), so
//                       that neither the encoder nor other work per sentence counts
//   sentence_us         all of it, the encoder included
//   floor_us            reading the decoder's weights once, at the speed measured in this run
//   allocations         calls of malloc and its relatives a sentence
#include <tests/support/malloc_count.h>

#include <fmt/format.h>
#include <tapegrad/autograd/kernels/gemm/gemm.h>
#include <tapegrad/autograd/kernels/kernel.h>
#include <tapegrad/nn/decode/greedy.h>
#include <CLI/CLI.hpp>

#include "examples/support/cli.h"
#include "tests/bench/program/measure.h"

namespace tapegrad::bench {
using namespace nn;
namespace {

constexpr const char* about =
    "Times greedy decoding of one sentence by an untrained model, float32, one thread, and prints one JSON "
    "line.";

Seq2SeqOptions options_of(const Size& size, Index tokens) {
  return {.source_vocabulary = size.vocabulary,
          .target_vocabulary = size.vocabulary,
          .transformer = {.d_model = size.d_model,
                          .nhead = size.heads,
                          .num_encoder_layers = size.layers,
                          .num_decoder_layers = size.layers,
                          .dim_feedforward = size.ff,
                          .dropout = 0},
          .max_length = std::max<Index>(size.length, tokens)};
}

/// Bytes that a token cannot do without: the decoder's weights and biases. Keys and values of the memory are
/// read from the cache.
double decoder_bytes(const Size& c) {
  const Index d = c.d_model;
  const Index layer = 6 * d * d + 6 * d + 2 * d * c.ff + c.ff + d + 6 * d;
  return 4 * static_cast<double>(c.layers * layer + 2 * d + (d + 1) * c.vocabulary);
}

/// Seconds of one pass over `bytes` of weights: a product of one row, which reads each once.
double seconds_of_reading(double bytes, int passes) {
  constexpr Index columns = 128;
  const auto rows = static_cast<Index>(bytes / 4 / columns) + 1;
  const std::vector<float> weights(static_cast<std::size_t>(rows * columns), 0.5F);
  const std::vector<float> x(static_cast<std::size_t>(rows), 1.0F);
  std::vector<float> y(columns);
  std::vector<double> seconds;
  for (int pass = 0; pass < passes; ++pass) {
    const double start = now();
    kernels::gemm(false, false, 1, columns, rows, x.data(), rows, weights.data(), columns, y.data(), columns);
    seconds.push_back(now() - start);
  }
  return median(seconds);
}

struct Options {
  std::string size = "S";
  Index tokens = 0;
  int sentences = 300;
  std::uint64_t seed = 1;
  bool prefixes = false;
};

void run(const Options& options) {
  pin(1);
  const Size& size = *find_size(options.size);
  const Index tokens = options.tokens > 0 ? options.tokens : size.length;
  ParameterStore params(options.seed);
  const Seq2Seq model(params.root(), options_of(size, tokens));
  Tape tape({.record = false});
  if (options.prefixes) tape.observers().on_value("none", [](const std::string&, const Var&) {});
  const std::vector<Index> sentence(static_cast<std::size_t>(size.length), 3);
  const auto weights = std::make_shared<TransposedWeights>();
  const auto decode = [&](Index length) {
    const double start = now();
    greedy_decode(model, tape, {&sentence, 1},
                  {.bos = 1, .eos = -1, .max_length = length, .weights = weights});
    return now() - start;
  };
  for (int i = 0; i < options.sentences / 10 + 1; ++i) decode(tokens);
  std::vector<double> all, first;
  const std::uint64_t before = test::allocation_calls();
  for (int i = 0; i < options.sentences; ++i) {
    all.push_back(decode(tokens));
    first.push_back(decode(1));
  }
  const auto calls = static_cast<double>(test::allocation_calls() - before);
  const double floor = seconds_of_reading(decoder_bytes(size), 200);
  const double token = (median(all) - median(first)) / static_cast<double>(std::max<Index>(tokens - 1, 1));
  Json out = {{"backend", options.prefixes ? "tapegrad, prefixes recomputed" : "tapegrad"},
              {"size", size.name},
              {"tokens", tokens},
              {"us_per_token", rounded(1e6 * token, 3)},
              {"sentence_us", rounded(1e6 * median(all), 1)},
              {"floor_us", rounded(1e6 * floor, 3)},
              {"times_floor", rounded(token / floor, 2)}};
  if (test::counts_allocations()) out["allocations"] = rounded(calls / (2 * options.sentences), 1);
  out["isa"] = kernels::isa_name(kernels::active_isa());
  fmt::print("{}\n", out.dump());
}

int main(int argc, char** argv) {
  CLI::App app(about);
  Options options;
  app.add_option("--size", options.size, "S, M or L")
      ->capture_default_str()
      ->check(CLI::IsMember({"S", "M", "L"}));
  app.add_option("--tokens", options.tokens, "written a sentence, at least 2; default: the size's length");
  app.add_option("--sentences", options.sentences, "timed")->capture_default_str();
  app.add_option("--seed", options.seed, "of the initial weights")->capture_default_str();
  app.add_flag("--prefixes", options.prefixes, "recompute whole prefixes instead of keeping a cache");
  return examples::run_program("bench_decode", app, argc, argv, [&] { run(options); });
}

}  // namespace
}  // namespace tapegrad::bench

int main(int argc, char** argv) { return tapegrad::bench::main(argc, argv); }
