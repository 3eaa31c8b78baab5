/// Reads files of `source<TAB>target` lines, and groups the examples by source.
#pragma once
#include "lines.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tapegrad {

/// One `source<TAB>target` line of a file.
struct Example {
  std::string source, target;
  std::int64_t line = 0;  ///< number of the line in its file, from 1
};

struct TsvOptions {
  std::size_t max_line = LineReader::default_max_line;  ///< bytes a line may have
  std::uint64_t max_bytes = std::uint64_t{1} << 31;     ///< bytes the file may have
};

/// Reads every line of `path` as `source<TAB>target`. A source may have several lines (several right
/// answers). The file is UTF-8, with or without byte order mark, `\n` or `\r\n`, with or without a last line
/// end; spaces are kept.
///
/// Throws DataError `FILE:LINE:COLUMN: problem, got …, expected …` for text that LineReader rejects, and for
/// a file without examples, a line without a tab or with several, and a source or target that is empty or
/// only spaces.
std::vector<Example> read_tsv(const std::string& path, const TsvOptions& options = {});

/// Examples that share a source, in the order in which the sources first appear.
struct References {
  std::string source;
  std::vector<std::string> targets;  ///< distinct, in file order
};
std::vector<References> group_by_source(const std::vector<Example>& examples);

}  // namespace tapegrad
