// An encoder-decoder learns to copy sequences: `bin/copy` trains for up to a minute, then copies 1,000
// sequences it has never seen. A smaller model, trained for a moment, is then explained number by number.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <set>

#include <tapegrad/autograd/inspect/explain/explanation.h>
#include <tapegrad/nn/decode/greedy.h>
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/train/progress.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/schedule.h>

#include "examples/support/cli.h"
#include "examples/support/model_attention.h"
#include "examples/support/output_file.h"

namespace {

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::optim;
using Sequence = std::vector<Index>;

constexpr Index pad = 0, bos = 1, eos = 2, first_symbol = 3;

struct Options {
  Index vocab = 11, longest = 20, steps = 2000, batch = 128, threads = 2;
  double seconds = 0, rate = 2e-3;
  std::uint64_t seed = 1;
  std::string picture = "copy_attention.svg", explorer = "copy_explorer.html";
};

/// Uniform draws from a counter-based generator, equal on every machine.
class Draws {
 public:
  explicit Draws(RandomKey key) : key_(key) {}
  Index below(Index n) { return static_cast<Index>(uniform01(key_, next_++) * static_cast<double>(n)); }
  Sequence sequence(Index length, Index vocab) {
    Sequence s;
    for (Index i = 0; i < length; ++i) s.push_back(first_symbol + below(vocab));
    return s;
  }

 private:
  RandomKey key_;
  std::uint64_t next_ = 0;
};

/// `count` distinct sequences, spread evenly over the lengths 1 … longest. Of short ones few exist: at most
/// half of a length's are held out, and the longer lengths make up for it.
std::set<Sequence> held_out(Index count, Index vocab, Index longest, Draws draws) {
  std::set<Sequence> chosen;
  double exist = 1;
  for (Index length = 1; length <= longest; ++length) {
    exist *= static_cast<double>(vocab);
    const Index fair = (count - static_cast<Index>(chosen.size())) / (longest - length + 1);
    const Index take = std::min(fair, static_cast<Index>(std::min(exist / 2, 1e9)));
    for (const auto goal = chosen.size() + static_cast<std::size_t>(take); chosen.size() < goal;)
      chosen.insert(draws.sequence(length, vocab));
  }
  return chosen;
}

/// A batch of sequences outside `unseen`, sorted by length so that little is padded.
std::vector<Sequence> training_rows(const Options& options, const std::set<Sequence>& unseen, Draws draws) {
  std::vector<Sequence> rows;
  while (static_cast<Index>(rows.size()) < options.batch) {
    Sequence s = draws.sequence(1 + draws.below(options.longest), options.vocab);
    if (!unseen.contains(s)) rows.push_back(std::move(s));
  }
  std::sort(rows.begin(), rows.end(),
            [](const Sequence& a, const Sequence& b) { return a.size() < b.size(); });
  return rows;
}

/// A batch for ShardedStep to cut: rows that are padded shard by shard.
struct CopyBatch {
  std::span<const Sequence> sequences;
  Index longest;

  Index rows() const { return static_cast<Index>(sequences.size()); }
  Index tokens() const { return rows() * longest; }  // the most there can be: every step has as many shards
  Seq2SeqBatch slice(Index begin, Index end) const {
    const std::span part =
        sequences.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    return make_batch(part, part, bos, eos, pad);
  }
};

Seq2Seq make_model(ParameterStore& params, Index vocab, Index width, Index heads, Index layers) {
  return Seq2Seq(params.root(), {.source_vocabulary = first_symbol + vocab,
                                 .target_vocabulary = first_symbol + vocab,
                                 .transformer = {.d_model = width,
                                                 .nhead = heads,
                                                 .num_encoder_layers = layers,
                                                 .num_decoder_layers = layers,
                                                 .dim_feedforward = 2 * width,
                                                 .dropout = 0,
                                                 .norm_first = true},
                                 .max_length = 32});
}

/// Trains until the time or the steps are over, and says how that went. The test sequences stay unseen.
std::string train(const Seq2Seq& model, const ParameterStore& params, const std::set<Sequence>& unseen,
                  const Options& options) {
  ShardedStep step(params, {.threads = static_cast<std::size_t>(options.threads), .seed = options.seed});
  Adam adam({.beta2 = 0.98});
  const Schedule schedule =
      cosine_decay(options.rate, std::min<Index>(200, options.steps / 4), options.steps, options.rate / 100);
  Progress progress({.label = "copy", .total = options.steps, .seconds = options.seconds});
  const auto seconds = [start = std::chrono::steady_clock::now()] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (Index s = 1;; ++s) {
    const auto number = static_cast<std::uint64_t>(s);
    const std::vector<Sequence> rows =
        training_rows(options, unseen, Draws(random_key(options.seed, number, 0, 1)));
    const StepResult result =
        step.run(CopyBatch{rows, options.longest}, [&](Tape& tape, const Seq2SeqBatch& shard) -> ShardLoss {
          return {model.loss_sum(tape, shard), shard.targets};
        });
    clip_grad_norm(result.gradients, 1.0);
    adam.set_learning_rate(schedule(s));
    adam.step(result.gradients);
    progress.update(s, result.loss());
    if (s < options.steps && seconds() < options.seconds) continue;
    progress.finish();
    return fmt::format("trained {} steps in {:.1f} seconds, last loss {:.2g}", s, seconds(), result.loss());
  }
}

std::string spell(const Sequence& s) {
  std::string text;
  for (Index token : s) text += fmt::format("{}{}", text.empty() ? "" : " ", token - first_symbol);
  return text;
}

std::string name_of(Index id) {
  return id == pad ? "<pad>" : id == bos ? "<s>" : id == eos ? "</s>" : fmt::format("{}", id - first_symbol);
}

/// One sequence forward and back, step by step, as a page for the browser. So that the page has room for
/// every number, the model is a small one that learns to copy short sequences of digits, all but the one
/// shown; it stops while its gradients can still be seen.
void write_explorer(const Options& given) {
  const Options options{.vocab = 10,
                        .longest = 6,
                        .steps = 150,
                        .batch = 64,
                        .threads = 1,
                        .seconds = 600,
                        .rate = 1e-2,
                        .seed = given.seed};
  const Index width = 16, heads = 2;
  ParameterStore params(given.seed);
  const Seq2Seq model = make_model(params, options.vocab, width, heads, 1);
  Sequence sample = {3, 1, 4, 1, 5};
  for (Index& token : sample) token += first_symbol;
  const std::string size = fmt::format("1 layer a side, {} heads, width {}", heads, width);
  fmt::print("for the page a smaller model, {} ({} values): {}\n", size, params.trainable_values(),
             train(model, params, {sample}, options));

  const Seq2SeqBatch batch = make_batch({&sample, 1}, {&sample, 1}, bos, eos, pad);
  Tape tape({.dtype = DType::f64, .show_parts = true});
  const Var loss = cross_entropy(model(tape, batch), batch.target_out, {.ignore_index = pad});
  ExplainOptions what{.title = fmt::format("copying {}, by a model of {}, after {} steps", spell(sample),
                                           size, options.steps),
                      .target = {name_of(bos)}};
  for (const Index token : sample) {
    what.source.push_back(name_of(token));
    what.target.push_back(name_of(token));
    what.label.push_back(name_of(token));
  }
  what.label.push_back(name_of(eos));
  for (Index id = 0; id < first_symbol + options.vocab; ++id) what.target_vocabulary.push_back(name_of(id));
  write_html(explain(loss, what), given.explorer);
}

/// Copies every sequence, prints the share that came out exactly and a few examples.
void report(const Seq2Seq& model, const std::set<Sequence>& unseen, const Options& options) {
  const std::vector<Sequence> inputs(unseen.begin(), unseen.end());
  Tape tape({.record = false});
  const std::vector<Sequence> outputs =
      greedy_decode(model, tape, inputs, {.bos = bos, .eos = eos, .max_length = options.longest + 5});
  std::size_t right = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) right += outputs[i] == inputs[i];
  fmt::print("exact match: {:.1f} % ({} of {} unseen)\n",
             100.0 * static_cast<double>(right) / static_cast<double>(inputs.size()), right, inputs.size());
  for (std::size_t i = 0; i < inputs.size(); i += inputs.size() / 4 + 1)
    fmt::print("  {}  ->  {}{}\n", spell(inputs[i]), spell(outputs[i]),
               outputs[i] == inputs[i] ? "" : "   (wrong)");

  Sequence sample = inputs[inputs.size() / 2];
  sample.resize(std::min<std::size_t>(sample.size(), 8));
  write_file(options.picture,
             attention_svg(examples::model_attention(model, sample, sample, bos, name_of, name_of)));
  fmt::print("attention of every head: {}\n", std::filesystem::absolute(options.picture).string());
  write_explorer(options);
  fmt::print("every step, forward and backward: {}\n", std::filesystem::absolute(options.explorer).string());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Trains an encoder-decoder Transformer to copy sequences of 1 to 20 symbols.");
  app.add_option("--vocab", options.vocab, "number of symbols")
      ->capture_default_str()
      ->check(CLI::Range(2, 1000));
  app.add_option("--steps", options.steps, "training steps")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--batch", options.batch, "sequences a step")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--seconds", options.seconds,
                 "most seconds of training (default 60, 180 for more than 16 symbols)")
      ->check(CLI::PositiveNumber);
  app.add_option("--lr", options.rate, "peak learning rate")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "seed of weights and data")->capture_default_str();
  app.add_option("--threads", options.threads, "number of threads; does not change results")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--picture", options.picture, "SVG file of the attention picture")->capture_default_str();
  app.add_option("--explorer", options.explorer, "HTML file of the explorer's page")->capture_default_str();
  return examples::run_program("copy", app, argc, argv, [&] {
    examples::expect_writable_folder("--picture", options.picture);
    examples::expect_writable_folder("--explorer", options.explorer);
    if (options.seconds == 0) options.seconds = options.vocab > 16 ? 180 : 60;
    ParameterStore params(options.seed);
    const Seq2Seq model = make_model(params, options.vocab, 64, 4, 2);
    fmt::print("{} trainable values, {} symbols, lengths 1 to {}\n", params.trainable_values(), options.vocab,
               options.longest);
    const std::set<Sequence> unseen =
        held_out(1000, options.vocab, options.longest, Draws(random_key(options.seed, 0, 0, 0)));
    fmt::print("{}\n", train(model, params, unseen, options));
    report(model, unseen, options);
  });
}
