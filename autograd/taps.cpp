#include <tapegrad/autograd/taps.h>

#include <algorithm>

#include <tapegrad/autograd/parameter.h>

namespace tapegrad {

bool Taps::wants(std::string_view path, std::string_view name) const {
  if (patterns_.empty()) return false;
  const std::string full = fmt::format("{}.{}", path, name);
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::string& pattern) { return path_matches(pattern, full); });
}

void Taps::add(std::string_view path, std::string_view name, const Var& value) {
  collected_.push_back({fmt::format("{}.{}", path, name), value});
}

}  // namespace tapegrad
