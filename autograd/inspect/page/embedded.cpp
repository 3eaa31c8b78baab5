#include "embedded.h"

#include <cassert>

namespace tapegrad::embedded {

std::string_view page_file(std::string_view name) {
  for (const File& file : page())
    if (file.name.substr(file.name.rfind('/') + 1) == name) return file.text;
  assert(false);
  return {};
}

}  // namespace tapegrad::embedded
