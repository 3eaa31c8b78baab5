/// Reads and writes safetensors files (huggingface/safetensors, format 0.x).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "../../autograd/base/file.h"
#include "../../autograd/tensor/tensor.h"

namespace tapegrad {

/// The content of a safetensors file: named tensors and string metadata.
struct TensorFile {
  using Tensors = std::map<std::string, Tensor>;

  Tensors tensors;
  std::map<std::string, std::string> metadata;
  bool empty_metadata = false;  ///< the header has a `__metadata__` without keys (readers see no difference)
};

/// The description of one tensor in a file's header.
struct TensorEntry {
  std::string name;
  std::string dtype;                 ///< the name in the file: F32, BF16, I32, U8, …
  std::vector<std::uint64_t> shape;  ///< of any rank
  std::uint64_t values = 0;          ///< product of the shape
  std::uint64_t begin = 0, end = 0;  ///< bytes, counted from the first byte of the data
};

/// The header of a safetensors file.
struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  ///< in the order of their data
  std::map<std::string, std::string> metadata;
  bool empty_metadata = false;
  std::uint64_t data_begin = 0;  ///< offset of the first byte of the data in the file
};

/// Reads the header alone, of a file with any of the format's dtypes, and checks all of it against the format
/// and the file's size: offsets without holes or overlaps, shapes against offsets, duplicate names. Throws
/// DataError with the file's name and the place. docs/safetensors.md lists where this is stricter than the
/// reference reader.
SafetensorsHeader read_safetensors_header(const std::string& path);

/// Reads a safetensors file: 8 bytes of header length, a JSON header, the data. The header is checked as by
/// `read_safetensors_header` before it is used, and no memory is taken for data that the file does not have.
/// Values are read directly into each tensor's own 64-byte aligned memory. F64, F32, F16, BF16, I64, I32, U8
/// and BOOL are supported, with at most 8 axes; a BOOL byte other than 0 becomes 1. Throws DataError with the
/// file's name and the position.
TensorFile load_safetensors(const std::string& path);

struct SaveOptions {
  bool add_format = true;  ///< adds `format=pt` to the metadata, which some loaders require
};

/// Writes atomically: a temporary file beside `path`, fsync, rename, fsync of the folder; on failure the
/// temporary file is removed and an older file stays. The bytes are the reference writer's: wider types
/// first, then by name; without `add_format` a file of the reference with at most one metadata key is loaded
/// and written back byte for byte. (With more keys the reference has no fixed order; here they are sorted.)
/// Throws Error for a name or text that is not UTF-8, and SystemError with the system's reason.
void save_safetensors(const std::string& path, const TensorFile& file, const SaveOptions& options = {});

}  // namespace tapegrad
