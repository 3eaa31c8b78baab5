#pragma once
#include <map>
#include <string>

#include <tapegrad/autograd/tensor.h>

namespace tapegrad {

/// Named tensors and string metadata: what a safetensors file holds.
struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads a safetensors file (huggingface/safetensors, format 0.x): 8 bytes of header length, a JSON header,
/// the data. Everything is checked before anything is believed: sizes against the file, offsets without holes
/// or overlaps, shapes against offsets, duplicate names. Values are copied into aligned memory of their own.
/// F64, F32, I64, U8 and BOOL are supported (the last two as boolean bytes). Throws DataError with the file's
/// name and the place.
TensorFile load_safetensors(const std::string& path);

/// Writes atomically: a temporary file beside `path`, fsync, rename, fsync of the folder; on failure nothing
/// is left behind and an older file stays. Tensors are ordered as the reference writer does (wider types
/// first, then by name) and `format=pt` is added to the metadata. Throws Error with the system's reason.
void save_safetensors(const std::string& path, const TensorFile& file);

/// Reads a whole regular file of at most `most` bytes. Throws DataError (`PATH: cannot be opened: …`).
std::string read_file(const std::string& path, std::size_t most);
/// Replaces `path` by `content` atomically.
void write_file(const std::string& path, std::string_view content);

}  // namespace tapegrad
