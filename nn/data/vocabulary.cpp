#include "vocabulary.h"
#include "../../autograd/base/error.h"
#include "../../autograd/base/utf8.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tapegrad {

Vocabulary Vocabulary::build(const std::vector<std::vector<std::string>>& sequences, std::int64_t min_count) {
  expects(min_count >= 1, "vocabulary: got min_count {}, expected at least 1", min_count);
  std::unordered_map<std::string_view, std::int64_t> counts;
  for (const auto& sequence : sequences) {
    for (const std::string& token : sequence) ++counts[token];
  }
  std::vector<std::pair<std::string_view, std::int64_t>> order(counts.begin(), counts.end());
  std::erase_if(order, [min_count](const auto& entry) { return entry.second < min_count; });
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> tokens;
  tokens.reserve(order.size());
  for (const auto& entry : order) tokens.emplace_back(entry.first);
  return from_tokens(std::move(tokens));
}

Vocabulary Vocabulary::from_tokens(std::vector<std::string> tokens) {
  Vocabulary vocabulary;
  vocabulary.tokens_ = std::move(tokens);
  for (const std::string& token : vocabulary.tokens_) {
    const std::int64_t id = first_token + static_cast<std::int64_t>(vocabulary.ids_.size());
    if (token.empty()) throw DataError(fmt::format("vocabulary: token {} is empty", id));
    if (first_bad_utf8(token) != std::string::npos) {
      throw DataError(fmt::format("vocabulary: token {} is not UTF-8, got {}", id, in_quotes(token)));
    }
    const auto [at, fresh] = vocabulary.ids_.emplace(token, id);
    if (!fresh)
      throw DataError(
          fmt::format("vocabulary: token {} repeats token {}, got {}", id, at->second, in_quotes(token)));
  }
  return vocabulary;
}

std::int64_t Vocabulary::id(std::string_view token) const {
  const auto at = ids_.find(token);
  return at == ids_.end() ? unk : at->second;
}

std::string_view Vocabulary::token(std::int64_t id) const {
  static constexpr std::array<std::string_view, first_token> special = {"<pad>", "<bos>", "<eos>", "<unk>"};
  expects(id >= 0 && id < size(), "vocabulary: got id {}, expected 0 to {}", id, size() - 1);
  const auto at = static_cast<std::size_t>(id);
  return id < first_token ? special[at] : std::string_view(tokens_[at - special.size()]);
}

std::vector<std::int64_t> Vocabulary::encode(const std::vector<std::string>& tokens) const {
  std::vector<std::int64_t> ids;
  ids.reserve(tokens.size());
  for (const std::string& token : tokens) ids.push_back(id(token));
  return ids;
}

std::vector<std::string> Vocabulary::decode(std::span<const std::int64_t> ids) const {
  std::vector<std::string> tokens;
  for (const std::int64_t id : ids) {
    const std::string_view spelling = token(id);
    if (id == eos) break;
    if (id != pad && id != bos) tokens.emplace_back(spelling);
  }
  return tokens;
}

}  // namespace tapegrad
