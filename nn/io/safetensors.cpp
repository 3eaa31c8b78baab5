#include "safetensors.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "../../autograd/base/utf8.h"
#include "json_cursor.h"
#include "safetensors_dtype.h"

namespace tapegrad {
namespace {

constexpr std::size_t prefix_bytes = 8;
constexpr std::uint64_t largest_header = 100'000'000;
constexpr int deepest_header = 127;      // as in the reference reader
constexpr std::size_t most_axes = 4096;  // when only the header is read

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw DataError(fmt::format("{}: {}", path, what));
}

TensorEntry read_entry(JsonCursor& json, const std::string& name) {
  TensorEntry entry;
  entry.name = name;
  std::set<std::string> seen;
  json.object([&](const std::string& field) {
    if (!seen.insert(field).second)
      json.fail(fmt::format("field '{}' of tensor '{}' stands twice", printable(field), printable(name)));
    if (field == "dtype") {
      entry.dtype = json.string();
    } else if (field == "shape") {
      json.array([&] {
        if (entry.shape.size() == most_axes)
          json.fail(fmt::format("tensor '{}' has more than {} axes", printable(name), most_axes));
        entry.shape.push_back(json.unsigned_integer());
      });
    } else if (field == "data_offsets") {
      std::size_t count = 0;
      json.array([&] {
        const std::uint64_t offset = json.unsigned_integer();
        (count == 0 ? entry.begin : entry.end) = offset;
        ++count;
      });
      if (count != 2)
        json.fail(fmt::format("tensor '{}' has {} data offsets instead of 2", printable(name), count));
    } else {
      json.skip();
    }
  });
  for (const char* field : {"dtype", "shape", "data_offsets"})
    if (!seen.contains(field)) json.fail(fmt::format("tensor '{}' has no {}", printable(name), field));
  return entry;
}

void read_members(JsonCursor& json, SafetensorsHeader& header) {
  std::set<std::string> seen;
  json.object([&](const std::string& name) {
    if (!seen.insert(name).second) json.fail(fmt::format("'{}' stands twice", printable(name)));
    if (name.find('\0') != std::string::npos) json.fail("a tensor's name holds a NUL character");
    if (name != metadata_key) {
      header.tensors.push_back(read_entry(json, name));
    } else if (!json.null()) {
      header.empty_metadata = true;
      json.object([&](const std::string& key) {
        header.empty_metadata = false;
        if (!header.metadata.emplace(key, json.string()).second)
          json.fail(fmt::format("metadata key '{}' stands twice", printable(key)));
      });
    }
  });
  json.end();
}

/// Bits of a value of the entry's dtype.
std::uint64_t bits_of(const std::string& path, const TensorEntry& entry) {
  for (const FileDType& known : file_dtypes)
    if (known.name == entry.dtype) return known.bits;
  fail(path, fmt::format("tensor '{}' has dtype {}, which the format does not know", printable(entry.name),
                         printable(entry.dtype)));
}

void check_size(const std::string& path, TensorEntry& entry) {
  const std::uint64_t bits = bits_of(path, entry);
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
  const std::uint64_t most = largest / ((bits + 7) / 8);
  std::uint64_t values = 1;  // without zeros, so that axes behind a zero are checked for overflow
  bool empty = false;
  for (const std::uint64_t extent : entry.shape) {
    if (extent > 0 && values > most / extent)
      fail(path, fmt::format("the size of tensor '{}' overflows", printable(entry.name)));
    if (extent == 0) empty = true;
    if (extent > 0) values *= extent;
  }
  if (empty) values = 0;
  entry.values = values;
  const std::uint64_t rest = values % 8 * bits;  // bits of the last values, fewer than eight
  const std::uint64_t bytes = values / 8 * bits + rest / 8;
  if (rest % 8 != 0)
    fail(path, fmt::format("tensor '{}' of dtype {} and shape [{}] does not end at a whole byte",
                           printable(entry.name), entry.dtype, fmt::join(entry.shape, ", ")));
  if (entry.end - entry.begin != bytes)
    fail(path, fmt::format("tensor '{}' of dtype {} and shape [{}] needs {} bytes, its offsets give {}",
                           printable(entry.name), entry.dtype, fmt::join(entry.shape, ", "), bytes,
                           entry.end - entry.begin));
}

/// Checks that every byte of the data belongs to exactly one tensor, and to a whole one.
void check_entries(const std::string& path, std::vector<TensorEntry>& entries, std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t position = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != position || entry.end < entry.begin || entry.end > data_bytes)
      fail(path, fmt::format("tensor '{}' is at bytes {} to {} of {}, expected to begin at {}: the data "
                             "must have no holes and no overlaps",
                             printable(entry.name), entry.begin, entry.end, data_bytes, position));
    position = entry.end;
  }
  if (position != data_bytes)
    fail(path, fmt::format("{} bytes after the last tensor", data_bytes - position));
  for (TensorEntry& entry : entries) check_size(path, entry);
}

/// Reads the header's length from the first 8 bytes and checks it against the file.
std::uint64_t header_length(const std::string& path, InputFile& file) {
  if (file.size() < prefix_bytes)
    fail(path, fmt::format("{} bytes are too few for a safetensors file", file.size()));
  unsigned char prefix[prefix_bytes];
  file.read(prefix, prefix_bytes);
  std::uint64_t bytes = 0;
  for (std::size_t i = prefix_bytes; i-- > 0;) bytes = bytes << 8 | prefix[i];
  if (bytes > largest_header)
    fail(path, fmt::format("a header of {} bytes, at most {} are accepted", bytes, largest_header));
  if (bytes > file.size() - prefix_bytes)
    fail(path, fmt::format("a header of {} bytes in a file of {}", bytes, file.size()));
  return bytes;
}

/// Reads the header and leaves `file` at the first byte of the data.
SafetensorsHeader read_header(const std::string& path, InputFile& file) {
  std::string text(static_cast<std::size_t>(header_length(path, file)), '\0');
  file.read(text.data(), text.size());
  SafetensorsHeader header;
  header.data_begin = prefix_bytes + text.size();
  JsonCursor json(text, path, prefix_bytes, deepest_header);
  read_members(json, header);
  check_entries(path, header.tensors, file.size() - header.data_begin);
  return header;
}

/// The dtype of a tensor of this entry; throws for entries that the format allows and a Tensor cannot hold.
DType checked_dtype(const std::string& path, const TensorEntry& entry) {
  const std::optional<DType> dtype = supported_dtype(entry.dtype);
  if (!dtype)
    fail(path, fmt::format("tensor '{}' has dtype {}: valid, but not supported; {} are",
                           printable(entry.name), entry.dtype, supported_dtypes));
  if (entry.shape.size() > Shape::max_rank)
    fail(path, fmt::format("tensor '{}' has {} axes, at most {} are supported", printable(entry.name),
                           entry.shape.size(), Shape::max_rank));
  return *dtype;
}

/// Reads the next tensor of the data.
Tensor read_tensor(const TensorEntry& entry, DType dtype, InputFile& file) {
  std::vector<Index> extents;
  for (const std::uint64_t extent : entry.shape) extents.push_back(static_cast<Index>(extent));
  Tensor tensor(Shape(std::span<const Index>(extents)), dtype);
  const TensorView view = tensor.view();
  file.read(view.bytes, view.byte_count());
  if (dtype == DType::boolean)
    std::transform(view.data<std::uint8_t>(), view.data<std::uint8_t>() + view.size(),
                   view.data<std::uint8_t>(),
                   [](std::uint8_t byte) { return static_cast<std::uint8_t>(byte != 0); });
  return tensor;
}

}  // namespace

SafetensorsHeader read_safetensors_header(const std::string& path) {
  InputFile file(path);
  return read_header(path, file);
}

TensorFile load_safetensors(const std::string& path) {
  InputFile file(path);
  SafetensorsHeader header = read_header(path, file);
  for (const TensorEntry& entry : header.tensors) checked_dtype(path, entry);
  TensorFile result;
  result.metadata = std::move(header.metadata);
  result.empty_metadata = header.empty_metadata;
  for (const TensorEntry& entry : header.tensors)
    result.tensors.emplace(entry.name, read_tensor(entry, checked_dtype(path, entry), file));
  return result;
}

}  // namespace tapegrad
