#include "metrics.h"
#include "../../autograd/base/error.h"

namespace tapegrad {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double ErrorRates::exact_match() const { return ratio(right, examples); }
double ErrorRates::word_error_rate() const { return ratio(examples - right, examples); }
double ErrorRates::token_error_rate() const { return ratio(edits, reference_tokens); }

ErrorRates score(const std::vector<References>& references, const std::vector<std::string>& outputs,
                 const Tokenizer& tokenizer) {
  expects(references.size() == outputs.size(), "score: got {} outputs for {} sources, expected one for each",
          outputs.size(), references.size());
  ErrorRates total;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    expects(!references[i].targets.empty(), "score: got no target for source {}, expected at least one", i);
    const std::vector<std::string> output = tokenizer.split(outputs[i]);
    std::int64_t fewest = -1, length = 0;
    for (const std::string& text : references[i].targets) {
      const std::vector<std::string> target = tokenizer.split(text);
      const std::int64_t edits = edit_distance(std::span(output), std::span(target));
      if (fewest >= 0 && edits >= fewest) continue;
      fewest = edits;
      length = static_cast<std::int64_t>(target.size());
    }
    ++total.examples;
    total.right += fewest == 0 ? 1 : 0;
    total.edits += fewest;
    total.reference_tokens += length;
  }
  return total;
}

}  // namespace tapegrad
