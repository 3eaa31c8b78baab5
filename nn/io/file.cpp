#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <tapegrad/nn/io/safetensors.h>

namespace tapegrad {
namespace {

/// Closes on every way out.
struct Descriptor {
  int number;
  explicit Descriptor(int fd) : number(fd) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

std::string reason() { return std::strerror(errno); }

/// Open for reading.
struct RegularFile {
  explicit RegularFile(const std::string& path)
      : file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (file.number < 0) throw DataError(fmt::format("{}: cannot be opened: {}", path, reason()));
    struct stat status {};
    if (::fstat(file.number, &status) != 0)
      throw DataError(fmt::format("{}: cannot be read: {}", path, reason()));
    if (!S_ISREG(status.st_mode)) throw DataError(fmt::format("{}: not a regular file", path));
    size = static_cast<std::size_t>(status.st_size);
  }

  std::string read(const std::string& path, std::size_t count) const {
    std::string content(count, '\0');
    std::size_t have = 0;
    while (have < count) {
      const ssize_t got = ::read(file.number, content.data() + have, count - have);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw DataError(fmt::format("{}: cannot be read: {}", path, reason()));
      if (got == 0) throw DataError(fmt::format("{}: ends after {} of {} bytes", path, have, count));
      have += static_cast<std::size_t>(got);
    }
    return content;
  }

  Descriptor file;
  std::size_t size = 0;
};

}  // namespace

FileHead read_file_head(const std::string& path, std::size_t bytes) {
  const RegularFile file(path);
  return {file.read(path, std::min(bytes, file.size)), file.size};
}

std::string read_file(const std::string& path, std::size_t most) {
  const RegularFile file(path);
  if (file.size > most)
    throw DataError(fmt::format("{}: {} bytes, at most {} are accepted", path, file.size, most));
  return file.read(path, file.size);
}

void write_file(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  const auto give_up = [&](std::string_view what) {
    const std::string why = reason();
    ::unlink(temporary.c_str());
    throw SystemError(fmt::format("{}: cannot be {}: {}", path, what, why));
  };
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (file.number < 0) give_up("created");
    for (std::size_t done = 0; done < content.size();) {
      const ssize_t put = ::write(file.number, content.data() + done, content.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) give_up("written");
      done += static_cast<std::size_t>(put);
    }
    if (::fsync(file.number) != 0) give_up("written");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up("put in place");
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.number >= 0) ::fsync(directory.number);
}

}  // namespace tapegrad
