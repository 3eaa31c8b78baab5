#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <tapegrad/autograd/tensor.h>

namespace tapegrad {

/// Named tensors and string metadata: what a safetensors file holds.
struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// One tensor as a file describes it.
struct TensorEntry {
  std::string name;
  std::string dtype;                 ///< the file's own word: F32, BF16, I32, U8, …
  std::vector<std::uint64_t> shape;  ///< of any rank
  std::uint64_t values = 0;          ///< product of the shape
  std::uint64_t begin = 0, end = 0;  ///< bytes, counted from the first byte of the data
};

/// What a safetensors file says about itself.
struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  ///< in the order of their data
  std::map<std::string, std::string> metadata;
  std::uint64_t data_begin = 0;  ///< place of the first byte of the data in the file
};

/// Reads the header alone, of a file with any of the format's dtypes, and checks all of it against the format
/// and the file's size: offsets without holes or overlaps, shapes against offsets, duplicate names. Throws
/// DataError with the file's name and the place.
SafetensorsHeader read_safetensors_header(const std::string& path);

/// Reads a safetensors file (huggingface/safetensors, format 0.x): 8 bytes of header length, a JSON header,
/// the data. Everything is checked before anything is believed, as by `read_safetensors_header`. Values are
/// copied into aligned memory of their own. F64, F32, I64, U8 and BOOL are supported (the last two as boolean
/// bytes), with at most 8 axes. Throws DataError with the file's name and the place.
TensorFile load_safetensors(const std::string& path);

/// Writes atomically: a temporary file beside `path`, fsync, rename, fsync of the folder; on failure nothing
/// is left behind and an older file stays. Tensors are ordered as the reference writer does (wider types
/// first, then by name) and `format=pt` is added to the metadata. Throws SystemError with the system's
/// reason.
void save_safetensors(const std::string& path, const TensorFile& file);

/// Reads a whole regular file of at most `most` bytes. Throws DataError (`PATH: cannot be opened: …`).
std::string read_file(const std::string& path, std::size_t most);

/// The beginning of a file.
struct FileHead {
  std::string content;
  std::uint64_t size = 0;  ///< bytes of the whole file
};
/// Reads the first `bytes` bytes of a regular file, or all of a shorter one. Throws DataError as `read_file`.
FileHead read_file_head(const std::string& path, std::size_t bytes);

/// Replaces `path` by `content` atomically. Throws SystemError (`PATH: cannot be written: …`).
void write_file(const std::string& path, std::string_view content);

}  // namespace tapegrad
