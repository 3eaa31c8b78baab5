#pragma once
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tapegrad {

/// An op's attributes, for people: dumps and the explorer print them.
using AttributeValue = std::variant<bool, double, std::string, std::vector<std::uint8_t>>;
using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

/// Adds one; a number of any kind becomes a double.
template <class T>
void put(Attributes& to, const char* name, const T& value) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
    to.emplace_back(name, static_cast<double>(value));
  else
    to.emplace_back(name, value);
}

}  // namespace tapegrad
