#include "safetensors.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "../../autograd/base/utf8.h"
#include "safetensors_dtype.h"

namespace tapegrad {
namespace {

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

using Item = std::pair<const std::string, Tensor>;

void check_item(const Item& item) {
  const auto& [name, tensor] = item;
  expects(name != metadata_key, "save_safetensors: '{}' cannot be a tensor's name", name);
  expects(name.find('\0') == std::string::npos && first_bad_utf8(name) == std::string::npos,
          "save_safetensors: the name {} is not UTF-8 or holds a NUL character", in_quotes(name));
  expects(static_cast<bool>(tensor), "save_safetensors: tensor '{}' is empty", name);
}

std::string metadata_member(const TensorFile& file, const SaveOptions& options) {
  auto metadata = file.metadata;
  if (options.add_format) metadata.try_emplace("format", "pt");
  std::vector<std::string> pairs;
  for (const auto& [key, value] : metadata) {
    expects(first_bad_utf8(key) == std::string::npos && first_bad_utf8(value) == std::string::npos,
            "save_safetensors: metadata {} is not UTF-8", in_quotes(key));
    pairs.push_back(fmt::format("{}:{}", quoted(key), quoted(value)));
  }
  if (pairs.empty() && !file.empty_metadata) return {};
  return fmt::format("{}:{{{}}}", quoted(metadata_key), fmt::join(pairs, ","));
}

std::string header_of(const TensorFile& file, const std::vector<const Item*>& order,
                      const SaveOptions& options) {
  std::vector<std::string> members;
  if (std::string metadata = metadata_member(file, options); !metadata.empty())
    members.push_back(std::move(metadata));
  std::size_t offset = 0;
  for (const Item* item : order) {
    const Tensor& tensor = item->second;
    const std::size_t end = offset + tensor.view().byte_count();
    members.push_back(fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                  quoted(item->first), dtype_in_file(tensor.dtype()).name,
                                  fmt::join(tensor.shape(), ","), offset, end));
    offset = end;
  }
  std::string header = fmt::format("{{{}}}", fmt::join(members, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

/// The position of a dtype in the reference writer's order.
std::size_t rank_of(const Item* item) {
  return static_cast<std::size_t>(&dtype_in_file(item->second.dtype()) - std::begin(file_dtypes));
}

}  // namespace

void save_safetensors(const std::string& path, const TensorFile& file, const SaveOptions& options) {
  std::vector<const Item*> order;
  for (const Item& item : file.tensors) {
    check_item(item);
    order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Item* a, const Item* b) { return rank_of(a) > rank_of(b); });
  const std::string header = header_of(file, order, options);
  std::string prefix;
  for (std::size_t i = 0; i < 8; ++i) prefix.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  AtomicFile out(path);
  out.write(prefix + header);
  for (const Item* item : order) {
    const TensorView view = item->second.view();
    out.write(view.bytes, view.byte_count());
  }
  out.commit();
}

}  // namespace tapegrad
