/// A reader of UTF-8 text files, line by line in bounded memory, with errors that name line and column.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tapegrad {

/// Reads UTF-8 text line by line in bounded memory. Lines end in `\n` or `\r\n`, the last one may lack it; a
/// UTF-8 byte order mark at the start is dropped. Everything else that is not plain text throws DataError,
/// `FILE:LINE:COLUMN: problem, got …, expected …`, columns counted in code points from 1: NUL bytes, invalid
/// UTF-8, UTF-16, a carriage return inside a line, a line of more than `max_line` bytes, a failing read.
///
///     LineReader reader("words.txt");
///     for (std::string line; reader.next(line);) use(line);
class LineReader {
 public:
  static constexpr std::size_t default_max_line = 1'000'000;

  /// Opens a regular file; anything else (a directory, a FIFO, a device, a missing or unreadable file) throws
  /// DataError.
  explicit LineReader(std::string path, std::size_t max_line = default_max_line);
  /// Reads from an open descriptor, which stays the caller's, such as 0 for standard input; errors call it
  /// `name`.
  LineReader(int descriptor, std::string name, std::size_t max_line = default_max_line);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// Puts the next line, without its end, into `line`; false at the end of the text.
  bool next(std::string& line);
  /// Number of the line that `next` returned last, from 1; 0 before the first.
  std::int64_t number() const noexcept { return number_; }
  /// Bytes consumed so far, line ends included.
  std::uint64_t bytes() const noexcept { return bytes_; }

  /// Throws DataError `NAME:LINE:COLUMN: what` for byte `offset` of the current line `line`.
  [[noreturn]] void fail(std::string_view line, std::size_t offset, std::string_view what) const;

 private:
  bool fill();
  void check(const std::string& line) const;

  std::string name_;
  int descriptor_;
  bool owned_;
  std::size_t max_line_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::int64_t number_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace tapegrad
