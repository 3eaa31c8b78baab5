#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "error.h"

namespace tapegrad {
namespace {

std::string reason() { return std::strerror(errno); }

/// Linux transfers at most 2 GiB in one call; the returned count is the only sign of it.
constexpr std::size_t largest_piece = std::size_t{1} << 30;

/// Returns the file to replace: `path`, or the target when it is a symbolic link. Refuses devices and pipes,
/// which a rename would destroy.
std::string replaceable(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return path;
  if (!S_ISREG(status.st_mode))
    throw SystemError(fmt::format("{}: cannot be written: not a regular file", path));
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  return error || !std::filesystem::is_symlink(path, error) ? path : target.string();
}

/// Returns a unique temporary name, so that two writers of one path do not collide.
std::string temporary_beside(const std::string& target) {
  static std::atomic<unsigned> serial = 0;
  return fmt::format("{}.{}.{}.tmp", target, ::getpid(), serial++);
}

}  // namespace

Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

InputFile::InputFile(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (!file_.is_open()) throw DataError(fmt::format("{}: cannot be opened: {}", path, reason()));
  struct stat status {};
  if (::fstat(file_.number(), &status) != 0)
    throw DataError(fmt::format("{}: cannot be read: {}", path, reason()));
  if (!S_ISREG(status.st_mode)) throw DataError(fmt::format("{}: not a regular file", path));
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::read(void* to, std::size_t count) {
  const std::uint64_t end = done_ + count;
  for (auto* at = static_cast<char*>(to); done_ < end;) {
    const std::size_t piece = std::min(static_cast<std::size_t>(end - done_), largest_piece);
    const ssize_t got = ::read(file_.number(), at, piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw DataError(fmt::format("{}: cannot be read: {}", path_, reason()));
    if (got == 0) throw DataError(fmt::format("{}: ends after {} of {} bytes", path_, done_, end));
    at += got;
    done_ += static_cast<std::uint64_t>(got);
  }
}

AtomicFile::AtomicFile(const std::string& path)
    : path_(path),
      target_(replaceable(path)),
      temporary_(temporary_beside(target_)),
      file_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (!file_.is_open()) fail("created");
}

AtomicFile::~AtomicFile() {
  if (!done_) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(std::string_view what) const {
  throw SystemError(fmt::format("{}: cannot be {}: {}", path_, what, reason()));
}

void AtomicFile::write(const void* from, std::size_t count) {
  for (const auto* at = static_cast<const char*>(from); count > 0;) {
    const ssize_t put = ::write(file_.number(), at, std::min(count, largest_piece));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("written");
    at += put;
    count -= static_cast<std::size_t>(put);
  }
}

void AtomicFile::commit() {
  if (::fsync(file_.number()) != 0) fail("written");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("put in place");
  done_ = true;
  const std::size_t slash = target_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : target_.substr(0, slash);
  // A folder that is writable but not readable cannot be synced, and some file systems have no sync of
  // folders (EINVAL): there the new name is as safe as the system makes it. Any other failure is an error.
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() && errno == EACCES) return;
  if (!directory.is_open() || (::fsync(directory.number()) != 0 && errno != EINVAL))
    fail("put in place for certain");
}

std::string read_file(const std::string& path, std::size_t most) {
  InputFile file(path);
  if (file.size() > most)
    throw DataError(fmt::format("{}: {} bytes, at most {} are accepted", path, file.size(), most));
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  file.read(content.data(), content.size());
  return content;
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace tapegrad
