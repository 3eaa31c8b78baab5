/// Texts of the source tree that are compiled into the library. cmake/embed.cmake writes their definitions.
#pragma once
#include <span>
#include <string_view>

namespace tapegrad::embedded {

struct File {
  std::string_view name;  ///< from the root of the tree: `autograd/ops/linear.cpp`
  std::string_view text;
};

/// The explorer's page: page.html, style.css and its scripts.
std::span<const File> page();
/// The text of the page's file of this name, without folders.
std::string_view page_file(std::string_view name);
/// The sources of all ops, whose backward rules the explorer shows.
std::span<const File> ops();

}  // namespace tapegrad::embedded
