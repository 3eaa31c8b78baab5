#pragma once
#include <span>
#include <string_view>

/// Files of the source tree that are part of the library as text; cmake/embed.cmake writes them.
namespace tapegrad::embedded {

struct File {
  std::string_view name;  ///< from the root of the tree: `autograd/ops/linear.cpp`
  std::string_view text;
};

/// The explorer's page: page.html, style.css and its scripts.
std::span<const File> page();
/// The one of this name without folders.
std::string_view page_file(std::string_view name);
/// The sources of all ops, whose backward rules the explorer shows.
std::span<const File> ops();

}  // namespace tapegrad::embedded
