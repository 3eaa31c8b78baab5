/// A progress line on a terminal.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace tapegrad::nn {

struct ProgressOptions {
  std::string label = {};                  ///< stands in front, such as "epoch 3"; `relabel` changes it
  std::int64_t start = 0;                  ///< steps done before, in a resumed run
  std::optional<std::int64_t> total = {};  ///< steps at the end, where that is known
  std::optional<double> seconds = {};      ///< time that training may take, where there is a limit
  int descriptor = 2;                      ///< standard error
  double interval = 5;                     ///< seconds between plain lines
  std::optional<bool> terminal = {};       ///< redraw one line in place; asked of the descriptor when not set
  std::optional<int> columns = {};         ///< width of the terminal; asked of the descriptor when not set
  std::function<double()> now = {};        ///< seconds from any origin; a steady clock when not set
};

/// Shows how far training is: rate, loss and time left.
///
///     epoch 3  1234/2500 [#########----------]  49 %  12.3 steps/s  loss 0.1234  left 01:42
///
/// On a terminal one line is redrawn in place, at most ten times a second, and never wider than the terminal:
/// the bar shrinks first, then fields go from the right. Elsewhere a plain line without the bar comes every
/// `interval` seconds. A descriptor that is closed or fails silences the display and never stops training;
/// when it is a pipe the program must ignore SIGPIPE for that to hold.
class Progress {
 public:
  explicit Progress(ProgressOptions options = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Says that `step` steps are done, the last with mean loss `loss`.
  void update(std::int64_t step, double loss);
  void relabel(std::string_view label);
  /// Prints a line of its own, above the display.
  void note(std::string_view line);
  /// Shows the last state and leaves it standing. Further updates show nothing.
  void finish();

 private:
  struct Sample {
    double time;
    std::int64_t step;
  };
  void draw(double time);
  void compose(double time, std::size_t width);
  std::size_t append_fields(double time);
  double rate() const;
  double left(double time) const;
  int columns() const;
  void write(std::string_view text);
  void erase();

  ProgressOptions options_;
  bool terminal_ = false, silent_ = false, finished_ = false, drawn_ = true;
  double begun_ = 0, last_ = -std::numeric_limits<double>::infinity();
  std::int64_t step_ = 0;
  double loss_ = 0;
  std::array<Sample, 64> samples_{};  // ring of what the rate is measured over
  std::size_t sample_count_ = 0;
  std::string text_;
  std::size_t shown_ = 0;  // characters of the line on the terminal
};

}  // namespace tapegrad::nn
