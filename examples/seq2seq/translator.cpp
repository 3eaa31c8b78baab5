#include "examples/seq2seq/translator.h"

#include <tapegrad/nn/decode/beam.h>

#include <algorithm>
#include <thread>

namespace tapegrad::seq2seq {
using namespace nn;
namespace {

constexpr std::size_t most_rows = 64, most_tokens = 4096;  // of a batch

}  // namespace

std::size_t thread_count(std::int64_t threads) {
  if (threads > 0) return static_cast<std::size_t>(threads);
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 64);
}

Translator::Translator(std::vector<const Model*> models, std::int64_t beam, std::size_t threads)
    : models_(std::move(models)), beam_(beam), team_(threads), tapes_(threads) {
  const Model& first = *models_.at(0);
  for (std::size_t m = 1; m < models_.size(); ++m)
    expects(models_[m]->target.tokens() == first.target.tokens() &&
                models_[m]->target_tokens.name() == first.target_tokens.name(),
            "ensemble: model {} has other target tokens than model 1, got {} by {}, expected {} by {}", m + 1,
            models_[m]->target.size(), models_[m]->target_tokens.name(), first.target.size(),
            first.target_tokens.name());
  for (auto& tapes : tapes_) {
    weights_.push_back(std::make_shared<TransposedWeights>());
    for (std::size_t m = 0; m < models_.size(); ++m)
      tapes.push_back(std::make_unique<Tape>(TapeOptions{.record = false}));
  }
}

std::vector<std::string> Translator::operator()(std::span<const std::string> sources,
                                                const std::function<std::string(std::size_t)>& place,
                                                const std::function<bool()>& stop) {
  std::vector<std::vector<Ids>> ids(models_.size());  // [model][source]
  for (std::size_t m = 0; m < models_.size(); ++m)
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const Ids& own = ids[m].emplace_back(models_[m]->encode_source(sources[i]));
      const auto limit = static_cast<std::size_t>(models_[m]->config.max_length);
      if (own.size() > limit + 1)
        throw DataError(fmt::format(
            "{}: source too long, got {} tokens, expected at most {}, the --max-length of training", place(i),
            own.size() - 1, limit));
    }
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (!ids[0][i].empty()) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return ids[0][a].size() < ids[0][b].size(); });

  std::vector<std::span<const std::size_t>> batches;
  for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
    for (end = begin + 1; end < order.size() && end - begin < most_rows; ++end)
      if ((end - begin + 1) * ids[0][order[end]].size() > most_tokens) break;
    batches.push_back(std::span(order).subspan(begin, end - begin));
  }
  std::vector<Ids> outputs(sources.size());
  team_.run(batches.size(), [&](std::size_t worker, std::size_t number) {
    if (!stop || !stop())
      decode(worker, batches[batches.size() - 1 - number], ids, outputs);  // the longest first
  });
  std::vector<std::string> texts;
  for (const Ids& output : outputs) {
    tokens_ += static_cast<std::int64_t>(output.size());
    texts.push_back(models_[0]->spell(output));
  }
  return texts;
}

void Translator::decode(std::size_t worker, std::span<const std::size_t> rows,
                        std::span<const std::vector<Ids>> sources, std::vector<Ids>& outputs) {
  Index longest = models_[0]->longest_output;
  for (const Model* model : models_) longest = std::max(longest, model->longest_output);
  if (beam_ == 1 && models_.size() == 1) {
    std::vector<Ids> batch;
    for (const std::size_t i : rows) batch.push_back(sources[0][i]);
    std::vector<Ids> decoded = greedy_decode(
        models_[0]->network, *tapes_[worker][0], batch,
        {.bos = Vocabulary::bos, .eos = Vocabulary::eos, .max_length = longest, .weights = weights_[worker]});
    for (std::size_t r = 0; r < rows.size(); ++r) outputs[rows[r]] = std::move(decoded[r]);
    return;
  }
  std::vector<const Seq2Seq*> networks;
  std::vector<Tape*> tapes;
  for (std::size_t m = 0; m < models_.size(); ++m) {
    networks.push_back(&models_[m]->network);
    tapes.push_back(tapes_[worker][m].get());
  }
  for (const std::size_t i : rows) {
    std::vector<Ids> sentence;
    for (const auto& of_model : sources) sentence.push_back(of_model[i]);
    outputs[i] = beam_decode(networks, tapes, sentence,
                             {.beam = beam_,
                              .bos = Vocabulary::bos,
                              .eos = Vocabulary::eos,
                              .max_length = longest,
                              .weights = weights_[worker]})
                     .tokens;
  }
}

}  // namespace tapegrad::seq2seq
