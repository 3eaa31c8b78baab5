/// Error rates of a model's outputs: exact match, word error rate, token error rate.
#pragma once
#include "../../autograd/base/edit_distance.h"
#include "tokens.h"
#include "tsv.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tapegrad {

/// Counts over distinct sources, and the rates that follow from them.
struct ErrorRates {
  std::int64_t examples = 0;          ///< distinct sources
  std::int64_t right = 0;             ///< sources whose output equals one of their targets
  std::int64_t edits = 0;             ///< sum of the edits from each output to its nearest target
  std::int64_t reference_tokens = 0;  ///< sum of the lengths of those targets

  double exact_match() const;       ///< right / examples
  double word_error_rate() const;   ///< 1 - exact_match: a word is one whole output
  double token_error_rate() const;  ///< edits / reference_tokens (phone error rate); may exceed 1
};

/// Scores `outputs[i]` against `references[i]`. Texts are compared token by token after `tokenizer`, so runs
/// of spaces do not count under `space`. The nearest target is the one with the fewest edits, the first of
/// several. Throws Error when the two differ in number.
ErrorRates score(const std::vector<References>& references, const std::vector<std::string>& outputs,
                 const Tokenizer& tokenizer);

}  // namespace tapegrad
