/// The edit distance of two sequences, for scores of outputs and for suggestions in errors.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
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

/// Levenshtein distance of two texts, byte by byte.
inline std::int64_t edit_distance(std::string_view a, std::string_view b) {
  return edit_distance(std::span<const char>(a), std::span<const char>(b));
}

}  // namespace tapegrad
