#include "progress.h"
#include "../../autograd/base/utf8.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <iterator>

namespace tapegrad::nn {
namespace {

constexpr double redraw_interval = 0.1;
constexpr std::size_t widest_bar = 30, narrowest_bar = 5;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void append_time(std::string& out, double seconds) {
  if (!(seconds >= 0 && seconds < 1e6)) {
    out += "--:--";
    return;
  }
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole >= 3600) fmt::format_to(std::back_inserter(out), "{}:", whole / 3600);
  fmt::format_to(std::back_inserter(out), "{:02}:{:02}", whole / 60 % 60, whole % 60);
}

void append_loss(std::string& out, double loss) {
  const double size = std::abs(loss);
  const bool plain = !std::isfinite(loss) || loss == 0 || (size >= 1e-3 && size < 1e4);
  if (plain) {
    fmt::format_to(std::back_inserter(out), "{:.4f}", loss);
  } else {
    fmt::format_to(std::back_inserter(out), "{:.2e}", loss);
  }
}

}  // namespace

Progress::Progress(ProgressOptions options) : options_(std::move(options)), step_(options_.start) {
  if (!options_.now) options_.now = steady_seconds;
  terminal_ = options_.terminal.value_or(::isatty(options_.descriptor) == 1);
  begun_ = options_.now();
  if (!terminal_) last_ = begun_;  // the first plain line comes after one interval
  samples_[0] = {begun_, step_};
  sample_count_ = 1;
  text_.reserve(512);
}

Progress::~Progress() { finish(); }

void Progress::update(std::int64_t step, double loss) {
  if (finished_) return;
  step_ = step;
  loss_ = loss;
  drawn_ = false;
  if (silent_) return;
  const double time = options_.now();
  if (time - last_ >= (terminal_ ? redraw_interval : options_.interval)) draw(time);
}

void Progress::relabel(std::string_view label) { options_.label.assign(label); }

void Progress::draw(double time) {
  last_ = time;
  drawn_ = true;
  if (samples_[(sample_count_ - 1) % samples_.size()].step != step_) {
    samples_[sample_count_++ % samples_.size()] = {time, step_};
  }
  const std::size_t before = shown_;
  text_.clear();
  if (terminal_) {
    const auto width = static_cast<std::size_t>(columns() - 1);  // a full line would wrap
    text_ += '\r';
    compose(time, width);
    shown_ = count_code_points(text_) - 1;
    if (shown_ < before) text_.append(before - shown_, ' ');
  } else {
    append_fields(time);
    text_ += '\n';
  }
  write(text_);
}

/// Everything but the bar, fields parted by two spaces. Returns where the bar goes, behind the count of
/// steps.
std::size_t Progress::append_fields(double time) {
  const auto out = std::back_inserter(text_);
  if (!options_.label.empty()) fmt::format_to(out, "{}  ", options_.label);
  if (options_.total) {
    fmt::format_to(out, "{}/{}", step_, *options_.total);
  } else {
    fmt::format_to(out, "step {}", step_);
  }
  const std::size_t bar = text_.size();
  if (options_.total) {
    fmt::format_to(out, "  {:.0f} %",
                   std::floor(100.0 * static_cast<double>(step_) / static_cast<double>(*options_.total)));
  }
  const double per_second = rate();
  fmt::format_to(out, "  {:.{}f} steps/s", per_second, per_second >= 100 ? 0 : 1);
  text_ += "  loss ";
  append_loss(text_, loss_);
  text_ += "  left ";
  append_time(text_, left(time));
  return bar;
}

void Progress::compose(double time, std::size_t width) {
  const std::size_t start = text_.size();
  const std::size_t at = append_fields(time);
  const std::size_t used = count_code_points(std::string_view(text_).substr(start));
  if (used > width) {
    // Fields go from the right, whole: half a number misleads.
    std::size_t cut = text_.size();
    while (cut > start && count_code_points(std::string_view(text_).substr(start, cut - start)) > width) {
      const std::size_t gap = text_.rfind("  ", cut - 1);
      cut = gap == std::string::npos || gap < start ? start : gap;
    }
    text_.resize(cut);
    return;
  }
  if (!options_.total || width < used + narrowest_bar + 3) return;
  const std::size_t bar = std::min(widest_bar, width - used - 3);
  const double share =
      std::clamp(static_cast<double>(step_) / static_cast<double>(*options_.total), 0.0, 1.0);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(bar));
  text_.insert(at, fmt::format(" [{:#<{}}{:-<{}}]", "", full, "", bar - full));
}

/// Steps a second over the last samples, so that it follows changes and does not jitter.
double Progress::rate() const {
  const Sample& newest = samples_[(sample_count_ - 1) % samples_.size()];
  const std::size_t kept = std::min(sample_count_, samples_.size());
  const Sample& oldest = samples_[(sample_count_ - kept) % samples_.size()];
  const double time = newest.time - oldest.time;
  return time > 0 ? static_cast<double>(newest.step - oldest.step) / time : 0.0;
}

double Progress::left(double time) const {
  double seconds = std::numeric_limits<double>::infinity();
  const double per_second = rate();
  if (options_.total && per_second > 0) {
    seconds = static_cast<double>(std::max<std::int64_t>(0, *options_.total - step_)) / per_second;
  }
  if (options_.seconds) seconds = std::min(seconds, std::max(0.0, *options_.seconds - (time - begun_)));
  return seconds;
}

int Progress::columns() const {
  int columns = options_.columns.value_or(0);
  if (winsize size{}; !options_.columns && ::ioctl(options_.descriptor, TIOCGWINSZ, &size) == 0)
    columns = size.ws_col;
  return columns > 1 ? columns : 80;
}

void Progress::erase() {
  if (!terminal_ || shown_ == 0) return;
  write(fmt::format("\r{:{}}\r", "", shown_));
  shown_ = 0;
}

void Progress::note(std::string_view line) {
  erase();
  write(fmt::format("{}\n", line));
  if (terminal_ && !finished_ && step_ > options_.start) draw(options_.now());
}

void Progress::finish() {
  if (finished_) return;
  if (!drawn_) draw(options_.now());
  finished_ = true;
  if (terminal_ && shown_ > 0) write("\n");
  shown_ = 0;
}

void Progress::write(std::string_view text) {
  while (!silent_ && !text.empty()) {
    const ::ssize_t put = ::write(options_.descriptor, text.data(), text.size());
    if (put > 0) {
      text.remove_prefix(static_cast<std::size_t>(put));
    } else if (put < 0 && errno == EINTR) {
      continue;
    } else if (put < 0 && errno == EAGAIN) {
      return;  // a full pipe that does not block: this line is lost, the next may pass
    } else {
      silent_ = true;
    }
  }
}

}  // namespace tapegrad::nn
