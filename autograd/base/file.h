/// Files: sequential reading with errors that name the path, and atomic replacement.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tapegrad {

/// A file descriptor that the destructor closes.
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

/// A regular file, read from front to back. All functions throw DataError (`PATH: cannot be opened: …`).
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  /// Size of the file in bytes when it was opened.
  std::uint64_t size() const { return size_; }
  /// Reads the next `count` bytes; throws when the file ends before.
  void read(void* to, std::size_t count);

 private:
  std::string path_;
  Descriptor file_;
  std::uint64_t size_ = 0, done_ = 0;
};

/// Replaces a file as a whole or not at all: writes to a temporary file beside it; `commit` calls fsync,
/// renames the file, and calls fsync on the folder. Without `commit`, and when a function throws, the
/// temporary file is removed and an older file stays. A symbolic link stays: the file that it points to is
/// replaced. All functions throw SystemError (`PATH: cannot be created: REASON`, or written, or put in
/// place), for a device or a pipe too; when only the folder's fsync failed, the file is in place.
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

/// Replaces `path` by `content` atomically. Throws the errors of AtomicFile.
void write_file(const std::string& path, std::string_view content);

}  // namespace tapegrad
