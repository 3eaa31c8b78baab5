#include "beam.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "next_tokens.h"

namespace tapegrad::nn {
namespace {

/// An unfinished hypothesis: bos and the tokens so far.
struct Open {
  std::vector<Index> tokens;
  double log_probability = 0;
};

struct Candidate {
  double log_probability;
  double logit;  // of the first model: breaks ties that rounding made, so that a beam of 1 is greedy
  std::size_t parent;
  Index token;
};

bool better(const Candidate& a, const Candidate& b) {
  if (a.log_probability != b.log_probability) return a.log_probability > b.log_probability;
  if (a.logit != b.logit) return a.logit > b.logit;
  return a.parent != b.parent ? a.parent < b.parent : a.token < b.token;
}

/// Maps NaN, which has no order, to the worst score.
double ordered(double x) { return std::isnan(x) ? -std::numeric_limits<double>::infinity() : x; }

/// log Σ exp of a row.
double log_sum(const double* row, Index count) {
  const double largest = *std::max_element(row, row + count);
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += std::exp(row[i] - largest);
  return largest + std::log(sum);
}

/// The `most` best continuations, best first. Scores are summed in f64, so that sums over many tokens keep
/// their order.
std::vector<Candidate> continuations(std::vector<NextTokens>& models, const std::vector<Open>& open,
                                     Index most) {
  std::vector<Index> last;
  for (const Open& hypothesis : open) last.push_back(hypothesis.tokens.back());
  std::vector<Tensor> logits;
  for (NextTokens& model : models) logits.push_back(model.logits(last).to(DType::f64));
  const Index vocabulary = logits[0].shape()[1];
  for (const Tensor& other : logits)
    expects(other.shape() == logits[0].shape(), "beam_decode: target vocabularies of {} and {} tokens",
            vocabulary, other.shape()[1]);
  std::vector<Candidate> candidates;
  std::vector<double> norms(logits.size());
  for (std::size_t row = 0; row < open.size(); ++row) {
    const Index offset = static_cast<Index>(row) * vocabulary;
    for (std::size_t m = 0; m < logits.size(); ++m)
      norms[m] = log_sum(logits[m].data<double>() + offset, vocabulary);
    for (Index token = 0; token < vocabulary; ++token) {
      double sum = 0;
      for (std::size_t m = 0; m < logits.size(); ++m)
        sum += logits[m].data<double>()[offset + token] - norms[m];
      const double logit = logits[0].data<double>()[offset + token];
      candidates.push_back({ordered(open[row].log_probability + sum / static_cast<double>(logits.size())),
                            ordered(logit), row, token});
    }
  }
  const auto kept = std::min(static_cast<std::size_t>(most), candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates.end(), better);
  candidates.resize(kept);
  return candidates;
}

}  // namespace

Hypothesis beam_decode(std::span<const Seq2Seq* const> models, std::span<Tape* const> tapes,
                       std::span<const std::vector<Index>> sources, const BeamOptions& options) {
  expects(!models.empty() && models.size() == tapes.size() && models.size() == sources.size(),
          "beam_decode: {} models, {} tapes and {} sources, expected one of each for every model",
          models.size(), tapes.size(), sources.size());
  expects(options.beam >= 1 && options.max_length >= 1,
          "beam_decode: beam {} and max_length {} must be at least 1", options.beam, options.max_length);
  const auto weights = options.weights ? options.weights : std::make_shared<TransposedWeights>();
  std::vector<NextTokens> next_tokens;
  next_tokens.reserve(models.size());
  Index limit = options.max_length;
  for (std::size_t m = 0; m < models.size(); ++m) {
    expects(!tapes[m]->options().record && !tapes[m]->training(),
            "beam_decode: needs tapes with .record = false that are not training");
    next_tokens.emplace_back(*models[m], *tapes[m], std::span(&sources[m], 1), weights);
    limit = std::min(limit, models[m]->options.max_length);
  }
  const auto score = [&](double log_probability, Index length) {
    return log_probability / std::pow(static_cast<double>(length), options.length_penalty);
  };
  Hypothesis best;
  bool any = false;
  const auto finish = [&](const Open& hypothesis, Index length) {
    const double value = score(hypothesis.log_probability, length);
    if (!any || value > best.score) best = {{hypothesis.tokens.begin() + 1, hypothesis.tokens.end()}, value};
    any = true;
  };
  std::vector<Open> open = {{{options.bos}, 0}};
  for (Index length = 1; length <= limit && !open.empty(); ++length) {
    std::vector<Open> next;
    std::vector<Index> parents;
    for (const Candidate& candidate : continuations(next_tokens, open, options.beam)) {
      Open hypothesis{open[candidate.parent].tokens, candidate.log_probability};
      if (candidate.token == options.eos) {
        finish(hypothesis, length);
      } else {
        hypothesis.tokens.push_back(candidate.token);
        next.push_back(std::move(hypothesis));
        parents.push_back(static_cast<Index>(candidate.parent));
      }
    }
    open = std::move(next);
    // The best score that an open hypothesis can reach: log-probabilities only fall, and a longer output
    // divides them by more.
    if (any && !open.empty() &&
        best.score >= score(open[0].log_probability, options.length_penalty > 0 ? limit : length))
      return best;
    if (!open.empty())
      for (NextTokens& model : next_tokens) model.select(parents);
  }
  for (const Open& hypothesis : open) finish(hypothesis, limit);
  return best;
}

}  // namespace tapegrad::nn
