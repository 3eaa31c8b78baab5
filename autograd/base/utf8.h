/// UTF-8: validation, code points, and text made fit for one-line messages.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tapegrad {

/// Offset of the first byte at which `text` stops being well-formed UTF-8, or `std::string_view::npos`.
/// Strict, after table 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF,
/// no sequence cut short by the end.
std::size_t first_bad_utf8(std::string_view text) noexcept;

/// The code points of well-formed `text`, each a view of its 1 to 4 bytes. Combining marks stay code points
/// of their own (no normalisation). Throws DataError when `text` is not well-formed.
std::vector<std::string_view> code_points(std::string_view text);

/// Number of code points; a byte that belongs to no well-formed sequence counts as one.
std::size_t count_code_points(std::string_view text) noexcept;

/// `text` for a one-line message: control, invisible and direction-changing characters become `\n`,
/// `\u{202E}`, bytes that are not UTF-8 become `\xFF`, and an ellipsis replaces everything beyond `limit`
/// code points.
std::string printable(std::string_view text, std::size_t limit = 200);

/// As `printable`, between quotation marks; quotation marks and backslashes inside are escaped.
std::string in_quotes(std::string_view text, std::size_t limit = 40);

/// Bytes of the well-formed UTF-8 sequence that begins at `i` < text.size(), 0 when there is none. Strict,
/// after table 3-7 of the Unicode standard.
std::size_t utf8_length(std::string_view text, std::size_t i) noexcept;
/// The code point of one well-formed sequence.
std::uint32_t code_point(std::string_view sequence);
/// Returns true for characters that show nothing, or change how their neighbours are shown.
bool is_unseen(std::uint32_t c);

}  // namespace tapegrad
