#include "examples/seq2seq/validator.h"

#include <algorithm>
#include <numeric>

namespace tapegrad::seq2seq {
using namespace nn;
namespace {

constexpr std::size_t rows_at_once = 64;

std::vector<Seq2SeqBatch> batches_of(const Corpus& corpus) {
  std::vector<std::size_t> order(corpus.sources.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto tokens = [&](std::size_t i) { return corpus.sources[i].size() + corpus.targets[i].size(); };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return tokens(a) < tokens(b); });
  std::vector<Seq2SeqBatch> batches;
  for (std::size_t begin = 0; begin < order.size(); begin += rows_at_once) {
    std::vector<std::vector<Index>> sources, targets;
    for (std::size_t i = begin; i < std::min(begin + rows_at_once, order.size()); ++i) {
      sources.push_back(corpus.sources[order[i]]);
      targets.push_back(corpus.targets[order[i]]);
    }
    batches.push_back(make_batch(sources, targets, Vocabulary::bos, Vocabulary::eos, Vocabulary::pad));
  }
  return batches;
}

}  // namespace

Validator::Validator(const Model& model, const std::vector<Example>& examples, const TokenPairs& pairs,
                     std::size_t threads)
    : model_(model),
      references_(group_by_source(examples)),
      batches_(batches_of(Corpus(pairs, model.source, model.target))),
      translator_({&model}, 1, threads),
      team_(threads) {
  for (const References& r : references_) sources_.push_back(r.source);
  for (std::size_t worker = 0; worker < threads; ++worker)
    tapes_.push_back(std::make_unique<Tape>(TapeOptions{.record = false}));
}

double Validator::mean_loss(const std::function<bool()>& stop) {
  std::vector<double> sums(batches_.size());  // summed in order, independent of the threads
  team_.run(batches_.size(), [&](std::size_t worker, std::size_t number) {
    if (stop()) return;
    Tape& tape = *tapes_[worker];
    tape.reset();
    sums[number] = model_.network.loss_sum(tape, batches_[number]).item();
  });
  Index targets = 0;
  for (const Seq2SeqBatch& batch : batches_) targets += batch.targets;
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(targets);
}

std::optional<Validation> Validator::run(const std::function<bool()>& stop) {
  Validation result{.loss = mean_loss(stop), .score = {}};
  const std::vector<std::string> outputs = translator_(
      sources_, [](std::size_t i) { return fmt::format("source {}", i + 1); }, stop);
  if (stop()) return std::nullopt;
  result.score = score(references_, outputs, model_.target_tokens);
  return result;
}

}  // namespace tapegrad::seq2seq
