#include "lines.h"
#include "../../autograd/base/error.h"
#include "../../autograd/base/utf8.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace tapegrad {
namespace {

constexpr std::size_t buffer_size = 1 << 16;

std::string reason(int error) { return std::generic_category().message(error); }

std::string_view kind(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "a special file";
}

int open_regular(const std::string& path) {
  const std::string name = printable(path);
  if (path.find('\0') != std::string::npos)
    throw DataError(fmt::format("{}: cannot open, got a NUL byte in the file name", name));
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0)
    throw DataError(
        fmt::format("{}: cannot open, got \"{}\", expected a readable file", name, reason(errno)));
  struct stat status {};
  const bool known = ::fstat(descriptor, &status) == 0;
  if (known && S_ISREG(status.st_mode)) return descriptor;
  ::close(descriptor);
  throw DataError(fmt::format("{}: cannot read, got {}, expected a regular file", name,
                              kind(known ? status.st_mode : 0)));
}

}  // namespace

LineReader::LineReader(std::string path, std::size_t max_line)
    : name_(printable(path)), descriptor_(-1), owned_(true), max_line_(max_line), buffer_(buffer_size) {
  descriptor_ = open_regular(path);
}

LineReader::LineReader(int descriptor, std::string name, std::size_t max_line)
    : name_(printable(name)),
      descriptor_(descriptor),
      owned_(false),
      max_line_(max_line),
      buffer_(buffer_size) {}

LineReader::~LineReader() {
  if (owned_) ::close(descriptor_);
}

bool LineReader::fill() {
  for (;;) {
    const ::ssize_t got = ::read(descriptor_, buffer_.data(), buffer_.size());
    if (got >= 0) {
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
      return got > 0;
    }
    if (errno != EINTR) {
      throw DataError(fmt::format("{}:{}: cannot read, got \"{}\", expected a readable file", name_, number_,
                                  reason(errno)));
    }
  }
}

bool LineReader::next(std::string& line) {
  line.clear();
  if (begin_ == end_ && !fill()) return false;
  ++number_;
  bool ended = false;
  do {
    const char* from = buffer_.data() + begin_;
    const auto* stop = static_cast<const char*>(std::memchr(from, '\n', end_ - begin_));
    ended = stop != nullptr;
    const std::size_t length = ended ? static_cast<std::size_t>(stop - from) : end_ - begin_;
    line.append(from, length);
    begin_ += length + (ended ? 1 : 0);
    bytes_ += length + (ended ? 1 : 0);
  } while (!ended && line.size() <= max_line_ + 1 && fill());  // + 1: a carriage return that is not counted
  if (ended && line.ends_with('\r')) line.pop_back();
  if (line.size() > max_line_) {
    throw DataError(fmt::format("{}:{}:1: line too long, got more than {} bytes, expected at most that",
                                name_, number_, max_line_));
  }
  if (number_ == 1) {
    if (line.starts_with("\xFF\xFE") || line.starts_with("\xFE\xFF")) {
      fail(line, 0,
           "UTF-16 text, got its byte order mark, expected UTF-8 (iconv -f UTF-16 -t UTF-8 converts)");
    }
    if (line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (line.empty() && !ended) return false;  // only a byte order mark
  }
  check(line);
  return true;
}

void LineReader::check(const std::string& line) const {
  const std::size_t nul = line.find('\0'), cr = line.find('\r'), bad = first_bad_utf8(line);
  const std::size_t first = std::min({nul, cr, bad});
  if (first == std::string::npos) return;
  if (first == nul) fail(line, nul, "NUL byte, got \\x00, expected UTF-8 text");
  if (first == cr)
    fail(line, cr, "carriage return inside a line, got \\r, expected lines that end in \\n or \\r\\n");
  fail(line, bad,
       fmt::format("invalid UTF-8, got \\x{:02X}, expected UTF-8 text",
                   static_cast<unsigned char>(line[bad])));
}

void LineReader::fail(std::string_view line, std::size_t offset, std::string_view what) const {
  const std::size_t column = count_code_points(line.substr(0, offset)) + 1;
  throw DataError(fmt::format("{}:{}:{}: {}", name_, number_, column, what));
}

}  // namespace tapegrad
