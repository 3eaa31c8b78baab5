/// Checks output paths before long work.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>

namespace tapegrad::examples {

/// Checks before long work that `path` can be written. Throws Error `OPTION: …` when its folder is missing or
/// not writable, or when `path` is a folder itself.
inline void expect_writable_folder(std::string_view option, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  expects(!fs::is_directory(path, ignored), "{}: {} is a folder, expected a file", option, printable(path));
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  expects(fs::is_directory(folder, ignored), "{}: no folder {}", option, printable(folder.string()));
  expects(::access(folder.c_str(), W_OK | X_OK) == 0, "{}: the folder {} is not writable", option,
          printable(folder.string()));
}

}  // namespace tapegrad::examples
