#include <tapegrad/nn/data/utf8.h>
#include <tapegrad/nn/io/safetensors.h>

#include <cstdio>
#include <limits>

#include "examples/seq2seq/commands.h"

namespace tapegrad::seq2seq {
namespace {

constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();

std::string_view file_name(DType dtype) {
  constexpr std::string_view names[] = {"F32", "F64", "I64", "BOOL"};
  return names[static_cast<std::size_t>(dtype)];
}

}  // namespace

int run_inspect(const InspectOptions& options) {
  const TensorFile file = load_safetensors(options.file);
  std::string text;
  Index values = 0;
  for (const auto& [name, tensor] : file.tensors) {
    text += fmt::format("{}  {}  {}\n", printable(name, whole), file_name(tensor.dtype()), tensor.shape());
    values += tensor.size();
  }
  text += fmt::format("{} tensors, {} values\n", file.tensors.size(), values);
  for (const auto& [key, value] : file.metadata)
    text += fmt::format("metadata {}: {}\n", printable(key, whole), printable(value, whole));
  std::fputs(text.c_str(), stdout);
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
