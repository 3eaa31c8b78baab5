#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/io/safetensors.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "examples/seq2seq/commands.h"

namespace tapegrad::seq2seq {
namespace {

constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();

}  // namespace

int run_inspect(const InspectOptions& options) {
  SafetensorsHeader file = read_safetensors_header(options.file);
  std::sort(file.tensors.begin(), file.tensors.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.name < b.name; });
  const auto holds = [&](const std::string& name) {
    const auto at = std::lower_bound(file.tensors.begin(), file.tensors.end(), name,
                                     [](const TensorEntry& a, const std::string& b) { return a.name < b; });
    return at != file.tensors.end() && at->name == name;
  };
  std::string text;
  std::uint64_t values = 0;
  for (const TensorEntry& tensor : file.tensors) {
    text += fmt::format("{}  {}  [{}]\n", printable(tensor.name, whole), tensor.dtype,
                        fmt::join(tensor.shape, ", "));
    values += tensor.values;
  }
  for (const auto& [key, value] : file.metadata)
    if (!holds(key) && holds(value))
      text += fmt::format("{}  tied to {}\n", printable(key, whole), printable(value, whole));
  text += fmt::format("{} tensors, {} values\n", file.tensors.size(), values);
  for (const auto& [key, value] : file.metadata)
    text += fmt::format("metadata {}: {}\n", printable(key, whole), printable(value, whole));
  std::fputs(text.c_str(), stdout);
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
