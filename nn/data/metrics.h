#pragma once
#include <tapegrad/nn/data/tokens.h>
#include <tapegrad/nn/data/tsv.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace tapegrad {

/// Levenshtein distance: the fewest insertions, deletions and substitutions that turn `a` into `b`. O(|a|
/// |b|) time, O(|b|) memory.
template <class T>
std::int64_t edit_distance(std::span<const T> a, std::span<const T> b) {
  std::vector<std::int64_t> row(b.size() + 1);  // row[j] = distance of the part of `a` read so far to b[0, j)
  std::iota(row.begin(), row.end(), std::int64_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::int64_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::int64_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// The same between two texts, byte by byte.
inline std::int64_t edit_distance(std::string_view a, std::string_view b) {
  return edit_distance(std::span<const char>(a), std::span<const char>(b));
}

/// Counts over distinct sources, from which the rates follow.
struct ErrorRates {
  std::int64_t examples = 0;          ///< distinct sources
  std::int64_t right = 0;             ///< sources whose output equals one of their targets
  std::int64_t edits = 0;             ///< sum of the edits from each output to its nearest target
  std::int64_t reference_tokens = 0;  ///< sum of the lengths of those targets

  double exact_match() const;       ///< right / examples
  double word_error_rate() const;   ///< 1 - exact_match: a word is one whole output
  double token_error_rate() const;  ///< edits / reference_tokens (phone error rate); may exceed 1
};

/// Scores `outputs[i]` for `references[i]`. Texts are compared token by token after `tokenizer`, so runs of
/// spaces do not count under `space`. The nearest target is the one with the fewest edits, the first of
/// several. Throws Error when the two differ in number.
ErrorRates score(const std::vector<References>& references, const std::vector<std::string>& outputs,
                 const Tokenizer& tokenizer);

}  // namespace tapegrad
