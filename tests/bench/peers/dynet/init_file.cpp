#include "init_file.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace dynet_peer {
namespace {

class File {
 public:
  explicit File(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), sizeof length);
    data_ = sizeof length + length;
    header_ = nlohmann::json::parse(bytes_.begin() + sizeof length,
                                    bytes_.begin() + static_cast<std::ptrdiff_t>(data_));
  }

  bool has(const std::string& name) const { return header_.contains(name); }
  template <class T>
  std::vector<T> read(const std::string& name, const char* dtype) const {
    const auto& entry = header_.at(name);
    if (entry.at("dtype") != dtype) throw std::runtime_error(name + ": not " + dtype);
    const std::size_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
    std::vector<T> values((end - begin) / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + data_ + begin, end - begin);
    return values;
  }

 private:
  std::vector<char> bytes_;
  std::size_t data_ = 0;
  nlohmann::json header_;
};

}  // namespace

std::vector<tapegrad::bench::Batch> load_init(const std::string& path, Transformer& model, const Size& size) {
  const File file(path);
  for (const auto& [name, parts] : model.named()) {
    const std::vector<float> values = file.read<float>(name, "F32");  // row-major, DyNet's are column-major
    const float* from = values.data();
    for (const dynet::Parameter& part : parts) {
      const unsigned rows = part.dim()[0], columns = part.dim().size() / rows;
      std::vector<float> mine(values.size() ? std::size_t{rows} * columns : 0);
      for (unsigned i = 0; i < rows; ++i)
        for (unsigned j = 0; j < columns; ++j) mine[std::size_t{j} * rows + i] = *from++;
      dynet::TensorTools::set_elements(part.get_storage().values, mine);
    }
  }
  for (const auto& [name, table] : model.embeddings())
    dynet::TensorTools::set_elements(table.get_storage().all_values, file.read<float>(name, "F32"));
  std::vector<tapegrad::bench::Batch> batches;
  if (!file.has("data.source")) return batches;
  const std::vector<std::int64_t> ids = file.read<std::int64_t>("data.source", "I64");
  for (auto at = ids.begin(); at != ids.end(); at += size.tokens())
    batches.emplace_back(std::vector<std::int64_t>(at, at + size.tokens()), size.length);
  return batches;
}

}  // namespace dynet_peer
