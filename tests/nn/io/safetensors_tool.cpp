// safetensors_tool load FILE…: one line a file, `ok` or why it is refused.
// safetensors_tool resave IN OUT [IN OUT]…: loads each IN and saves it as OUT, without adding metadata.
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/io/safetensors.h>

#include <cstdio>
#include <span>

namespace {

using namespace tapegrad;

void load(const std::string& path) {
  std::string verdict = "ok";
  try {
    load_safetensors(path);
  } catch (const DataError& error) {
    verdict = printable(error.what());
  }
  fmt::print("{}\n", verdict);
}

int run(const std::string& command, std::span<char*> paths) {
  if (command == "load") {
    for (const char* path : paths) load(path);
    return 0;
  }
  if (command != "resave" || paths.size() % 2 != 0) return 2;
  for (std::size_t i = 0; i < paths.size(); i += 2)
    save_safetensors(paths[i + 1], load_safetensors(paths[i]), {.add_format = false});
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return count < 2 ? 2
                     : run(arguments[1], std::span(arguments, static_cast<std::size_t>(count)).subspan(2));
  } catch (const tapegrad::Error& error) {
    fmt::print(stderr, "safetensors_tool: {}\n", error.what());
    return 1;
  }
}
