#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tapegrad {

/// An open file, closed on every way out.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

/// A regular file, read from front to back. Everything throws DataError (`PATH: cannot be opened: …`).
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  /// Bytes of the whole file, when it was opened.
  std::uint64_t size() const { return size_; }
  /// The next `count` bytes; throws when the file ends before.
  void read(void* to, std::size_t count);

 private:
  std::string path_;
  Descriptor file_;
  std::uint64_t size_ = 0, done_ = 0;
};

/// Replaces a file as a whole or not at all: writes to a temporary file beside it; `commit` is fsync, rename
/// and fsync of the folder. Without it, and when anything throws, nothing is left behind and an older file
/// stays. A link stays one: the file that it points to is replaced. Everything throws SystemError (`PATH:
/// cannot be written: …`), for a device or a pipe too; if only the folder's fsync failed, the file is in
/// place.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  void write(const void* from, std::size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  [[noreturn]] void fail(std::string_view what) const;

  std::string path_, target_, temporary_;
  Descriptor file_;
  bool done_ = false;
};

/// Reads a whole regular file of at most `most` bytes. Throws DataError (`PATH: cannot be opened: …`).
std::string read_file(const std::string& path, std::size_t most);

/// Replaces `path` by `content` atomically. Throws SystemError (`PATH: cannot be written: …`).
void write_file(const std::string& path, std::string_view content);

}  // namespace tapegrad
