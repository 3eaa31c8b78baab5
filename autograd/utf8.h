#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tapegrad {

/// Bytes of the well-formed UTF-8 sequence that begins at `i` < text.size(), 0 when there is none. Strict,
/// after table 3-7 of the Unicode standard.
std::size_t utf8_length(std::string_view text, std::size_t i) noexcept;
/// Of one well-formed sequence.
std::uint32_t code_point(std::string_view sequence);
/// Characters that show nothing, or change how their neighbours are shown.
bool is_unseen(std::uint32_t c);

}  // namespace tapegrad
