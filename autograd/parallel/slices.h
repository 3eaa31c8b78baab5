/// Cuts the elements of several arrays into equal slices for the threads of a team.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace tapegrad {

/// Several arrays as one sequence of elements, cut into equal slices: neither many small arrays nor one large
/// one leave a thread idle. For elementwise work.
class Slices {
 public:
  using Index = std::int64_t;

  void clear() {
    sizes_.clear();
    starts_.resize(1);
  }
  void add(Index size) {
    sizes_.push_back(size);
    starts_.push_back(starts_.back() + (size + line - 1) / line);
  }

  /// Calls `body(array, begin, end)` for ranges that together cover every element of every array. Runs on the
  /// calling thread alone when `threads` is null or there are too few elements to be worth waking others.
  template <class Team, class F>
  void run(Team* threads, F&& body) const {
    const Index worth = starts_.back() / (4096 / line),
                most = threads ? static_cast<Index>(threads->size()) : 1;
    const Index count = std::clamp<Index>(worth, 1, most);
    const auto slice = [&](Index number) {
      const Index begin = starts_.back() * number / count, end = starts_.back() * (number + 1) / count;
      auto i = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), begin) -
                                        starts_.begin()) -
               1;
      for (; i < sizes_.size() && starts_[i] < end; ++i)
        body(i, std::max<Index>(begin - starts_[i], 0) * line,
             std::min((end - starts_[i]) * line, sizes_[i]));
    };
    if (threads == nullptr || count == 1)
      slice(0);
    else
      threads->run(static_cast<std::size_t>(count),
                   [&](std::size_t, std::size_t number) { slice(static_cast<Index>(number)); });
  }

 private:
  static constexpr Index line = 16;  // elements of a cache line, which two threads never share

  std::vector<Index> sizes_;
  std::vector<Index> starts_{0};  // of each array, in cache lines; the last entry is the end
};

}  // namespace tapegrad
