#include <tapegrad/nn/io/safetensors.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include <tapegrad/nn/data/utf8.h>
#include <tapegrad/nn/io/json_cursor.h>

namespace tapegrad {
namespace {

constexpr std::size_t prefix_bytes = 8;
constexpr std::uint64_t largest_header = 100'000'000;
constexpr std::string_view metadata_key = "__metadata__";

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw DataError(fmt::format("{}: {}", path, what));
}

std::optional<DType> supported_dtype(const std::string& name) {
  if (name == "F32") return DType::f32;
  if (name == "F64") return DType::f64;
  if (name == "I64") return DType::i64;
  if (name == "U8" || name == "BOOL") return DType::boolean;
  return std::nullopt;
}

std::string_view file_dtype(DType dtype) {
  constexpr std::string_view names[] = {"F32", "F64", "I64", "BOOL"};
  return names[static_cast<std::size_t>(dtype)];
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
      json.array([&] { entry.shape.push_back(json.unsigned_integer()); });
    } else if (field == "data_offsets") {
      std::vector<std::uint64_t> offsets;
      json.array([&] { offsets.push_back(json.unsigned_integer()); });
      if (offsets.size() != 2)
        json.fail(
            fmt::format("tensor '{}' has {} data offsets instead of 2", printable(name), offsets.size()));
      entry.begin = offsets[0];
      entry.end = offsets[1];
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
      json.object([&](const std::string& key) {
        if (!header.metadata.emplace(key, json.string()).second)
          json.fail(fmt::format("metadata key '{}' stands twice", printable(key)));
      });
    }
  });
  json.end();
}

/// Bits of a value of one of the format's dtypes.
std::uint64_t bits_of(const std::string& path, const TensorEntry& entry) {
  constexpr std::pair<std::string_view, std::uint64_t> dtypes[] = {
      {"F32", 32},    {"F64", 64},    {"I64", 64},        {"U8", 8},         {"BOOL", 8},    {"BF16", 16},
      {"F16", 16},    {"I8", 8},      {"I16", 16},        {"U16", 16},       {"I32", 32},    {"U32", 32},
      {"U64", 64},    {"C64", 64},    {"F8_E4M3", 8},     {"F8_E5M2", 8},    {"F8_E8M0", 8}, {"F4", 4},
      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
  for (const auto& [name, bits] : dtypes)
    if (name == entry.dtype) return bits;
  fail(path, fmt::format("tensor '{}' has dtype {}, which the format does not know", printable(entry.name),
                         printable(entry.dtype)));
}

void check_size(const std::string& path, TensorEntry& entry) {
  const std::uint64_t bits = bits_of(path, entry);
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
  const std::uint64_t most = largest / ((bits + 7) / 8);
  std::uint64_t values = 1;  // the product leaves out zeros: no axis may overflow behind one
  bool empty = false;
  for (const std::uint64_t extent : entry.shape) {
    if (extent > 0 && values > most / extent)
      fail(path, fmt::format("the size of tensor '{}' overflows", printable(entry.name)));
    if (extent == 0) empty = true;
    if (extent > 0) values *= extent;
  }
  if (empty) values = 0;
  entry.values = values;
  const std::uint64_t rest = values % 8 * bits;  // of the values that fill no group of eight
  const std::uint64_t bytes = values / 8 * bits + rest / 8;
  if (rest % 8 != 0)
    fail(path, fmt::format("tensor '{}' of dtype {} and shape [{}] does not end at a whole byte",
                           printable(entry.name), entry.dtype, fmt::join(entry.shape, ", ")));
  if (entry.end - entry.begin != bytes)
    fail(path, fmt::format("tensor '{}' of dtype {} and shape [{}] needs {} bytes, its offsets give {}",
                           printable(entry.name), entry.dtype, fmt::join(entry.shape, ", "), bytes,
                           entry.end - entry.begin));
}

/// Every byte of the data belongs to exactly one tensor, and to a whole one.
void check_entries(const std::string& path, std::vector<TensorEntry>& entries, std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t position = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != position || entry.end < entry.begin || entry.end > data_bytes)
      fail(path, fmt::format("tensor '{}' lies at bytes {} to {} of {}, expected to begin at {}: the data "
                             "must have no holes and no overlaps",
                             printable(entry.name), entry.begin, entry.end, data_bytes, position));
    position = entry.end;
  }
  if (position != data_bytes)
    fail(path, fmt::format("{} bytes after the last tensor", data_bytes - position));
  for (TensorEntry& entry : entries) check_size(path, entry);
}

/// Length of the header, which stands in the first bytes of the file.
std::uint64_t header_length(const std::string& path, std::string_view head, std::uint64_t file_bytes) {
  if (head.size() < prefix_bytes)
    fail(path, fmt::format("{} bytes are too few for a safetensors file", head.size()));
  std::uint64_t bytes = 0;
  for (std::size_t i = prefix_bytes; i-- > 0;) bytes = bytes << 8 | static_cast<unsigned char>(head[i]);
  if (bytes > largest_header)
    fail(path, fmt::format("a header of {} bytes, at most {} are accepted", bytes, largest_header));
  if (bytes > file_bytes - prefix_bytes)
    fail(path, fmt::format("a header of {} bytes in a file of {}", bytes, file_bytes));
  return bytes;
}

/// `head`: at least the length and the header.
SafetensorsHeader parse_header(const std::string& path, std::string_view head, std::uint64_t file_bytes) {
  const std::uint64_t length = header_length(path, head, file_bytes);
  SafetensorsHeader header;
  header.data_begin = prefix_bytes + length;
  JsonCursor json(head.substr(prefix_bytes, length), path, prefix_bytes);
  read_members(json, header);
  check_entries(path, header.tensors, file_bytes - header.data_begin);
  return header;
}

/// `data`: all of the file's.
Tensor copy_tensor(const std::string& path, const TensorEntry& entry, std::string_view data) {
  const std::optional<DType> dtype = supported_dtype(entry.dtype);
  if (!dtype)
    fail(path, fmt::format("tensor '{}' has dtype {}; F64, F32, I64, U8 and BOOL are supported",
                           printable(entry.name), entry.dtype));
  if (entry.shape.size() > Shape::max_rank)
    fail(path, fmt::format("tensor '{}' has {} axes, at most {} are supported", printable(entry.name),
                           entry.shape.size(), Shape::max_rank));
  std::vector<Index> extents;
  for (const std::uint64_t extent : entry.shape) extents.push_back(static_cast<Index>(extent));
  Tensor tensor(Shape(std::span<const Index>(extents)), *dtype);
  if (entry.end > entry.begin)
    std::memcpy(tensor.view().bytes, data.data() + entry.begin, entry.end - entry.begin);
  return tensor;
}

/// `text` as a JSON string, escaped as the reference writer does.
std::string quoted(std::string_view text) {
  std::string out(1, '"');
  for (char c : text) {
    constexpr std::string_view values = "\"\\\b\f\n\r\t", names = "\"\\bfnrt";
    if (const std::size_t found = values.find(c); found != values.npos) {
      out.push_back('\\');
      out.push_back(names[found]);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

/// The reference writer's order of types, so that files are byte for byte its own.
int dtype_rank(DType dtype) {
  return dtype == DType::i64 ? 3 : dtype == DType::f64 ? 2 : dtype == DType::f32 ? 1 : 0;
}

using Item = std::pair<const std::string, Tensor>;

void check_item(const Item& item) {
  const auto& [name, tensor] = item;
  expects(name != metadata_key, "save_safetensors: '{}' cannot be a tensor's name", name);
  expects(name.find('\0') == std::string::npos && first_bad_utf8(name) == std::string::npos,
          "save_safetensors: the name {} is not UTF-8 or holds a NUL character", in_quotes(name));
  expects(static_cast<bool>(tensor), "save_safetensors: tensor '{}' is empty", name);
}

std::string header_of(const TensorFile& file, const std::vector<const Item*>& order) {
  auto metadata = file.metadata;
  metadata.try_emplace("format", "pt");
  std::vector<std::string> members, pairs;
  for (const auto& [key, value] : metadata) {
    expects(first_bad_utf8(key) == std::string::npos && first_bad_utf8(value) == std::string::npos,
            "save_safetensors: metadata {} is not UTF-8", in_quotes(key));
    pairs.push_back(fmt::format("{}:{}", quoted(key), quoted(value)));
  }
  members.push_back(fmt::format("{}:{{{}}}", quoted(metadata_key), fmt::join(pairs, ",")));
  std::size_t offset = 0;
  for (const Item* item : order) {
    const Tensor& tensor = item->second;
    const std::size_t end = offset + tensor.view().byte_count();
    members.push_back(fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                  quoted(item->first), file_dtype(tensor.dtype()),
                                  fmt::join(tensor.shape(), ","), offset, end));
    offset = end;
  }
  std::string header = fmt::format("{{{}}}", fmt::join(members, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

}  // namespace

SafetensorsHeader read_safetensors_header(const std::string& path) {
  const FileHead start = read_file_head(path, prefix_bytes);
  const std::uint64_t length = header_length(path, start.content, start.size);
  const FileHead head = read_file_head(path, prefix_bytes + length);
  return parse_header(path, head.content, head.size);
}

TensorFile load_safetensors(const std::string& path) {
  const std::string content = read_file(path, std::numeric_limits<std::size_t>::max() / 2);
  SafetensorsHeader header = parse_header(path, content, content.size());
  TensorFile file{.tensors = {}, .metadata = std::move(header.metadata)};
  const std::string_view data = std::string_view(content).substr(header.data_begin);
  for (const TensorEntry& entry : header.tensors)
    file.tensors.emplace(entry.name, copy_tensor(path, entry, data));
  return file;
}

void save_safetensors(const std::string& path, const TensorFile& file) {
  std::vector<const Item*> order;
  for (const Item& item : file.tensors) {
    check_item(item);
    order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return dtype_rank(a->second.dtype()) > dtype_rank(b->second.dtype());
  });
  const std::string header = header_of(file, order);
  std::string content;
  for (std::size_t i = 0; i < prefix_bytes; ++i)
    content.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  content.append(header);
  for (const Item* item : order) {
    const TensorView view = item->second.view();
    content.append(static_cast<const char*>(view.bytes), view.byte_count());
  }
  write_file(path, content);
}

}  // namespace tapegrad
