/// Collects the problems of a file, to report all of them in one error.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "../../autograd/base/error.h"

namespace tapegrad {

/// The problems of a file by kind, thrown together in one DataError. At most 1000 of each kind are written
/// out, so that no file causes an error as large as itself.
class Problems {
 public:
  static constexpr std::size_t most_lines = 1000;

  /// `title` is the noun in the headline, `FILE: 3 problems:`. With several `kinds` their counts follow it,
  /// in this order, and so do the problems.
  explicit Problems(std::string title = "problems", const std::vector<std::string>& kinds = {""});

  void add(std::size_t kind, std::string line);
  /// Adds a problem of the first kind.
  template <class... Args>
  void add(fmt::format_string<Args...> text, Args&&... args) {
    add(0, fmt::format(text, std::forward<Args>(args)...));
  }

  std::size_t count() const;
  std::size_t count(std::size_t kind) const { return kinds_[kind].count; }
  /// Throws DataError when there are any: `WHERE: problem` for one, else a headline and a line for each.
  void raise(std::string_view where) const;

 private:
  struct Kind {
    std::string name;
    std::size_t count = 0;
    std::vector<std::string> lines = {};
  };

  std::string title_;
  std::vector<Kind> kinds_;
};

}  // namespace tapegrad
