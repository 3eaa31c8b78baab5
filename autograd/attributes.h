/// The attributes of an op as pairs of name and value, for dumps and the explorer.
#pragma once
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tapegrad {

/// The value of an attribute: a flag, a number, a text or bytes.
using AttributeValue = std::variant<bool, double, std::string, std::vector<std::uint8_t>>;
using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

/// Appends an attribute; a number of any type is stored as double.
template <class T>
void put(Attributes& to, const char* name, const T& value) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
    to.emplace_back(name, static_cast<double>(value));
  else
    to.emplace_back(name, value);
}

}  // namespace tapegrad
