/// The vocabulary of one side of a task: tokens to ids and back.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tapegrad {

/// The tokens of one side of a task and their ids. Ids 0 to 3 are special and have no spelling: a literal
/// `<pad>` in the data is an ordinary token. Ids from 4 on are the tokens by descending frequency, equally
/// frequent ones bytewise.
class Vocabulary {
 public:
  static constexpr std::int64_t pad = 0, bos = 1, eos = 2, unk = 3, first_token = 4;

  Vocabulary() = default;  ///< the special ids alone
  /// Counts the tokens of `sequences`; those seen fewer than `min_count` times are left out.
  static Vocabulary build(const std::vector<std::vector<std::string>>& sequences, std::int64_t min_count = 1);
  /// The inverse of `tokens()`. Throws DataError on an empty, repeated or not well-formed token.
  static Vocabulary from_tokens(std::vector<std::string> tokens);

  /// Number of ids, the four special ones included.
  std::int64_t size() const noexcept { return first_token + static_cast<std::int64_t>(tokens_.size()); }
  /// Id of a token; `unk` for one that was not seen.
  std::int64_t id(std::string_view token) const;
  /// Spelling of an id; the special ones read `<pad>`, `<bos>`, `<eos>`, `<unk>`. Throws Error when `id` is
  /// out of range.
  std::string_view token(std::int64_t id) const;
  /// The tokens from id 4 on, sufficient to store the vocabulary.
  const std::vector<std::string>& tokens() const noexcept { return tokens_; }

  /// Ids of the tokens, without `bos` and `eos`.
  std::vector<std::int64_t> encode(const std::vector<std::string>& tokens) const;
  /// Tokens of `ids` up to the first `eos`; `pad` and `bos` are skipped, `unk` reads `<unk>`. Throws Error
  /// when an id is out of range.
  std::vector<std::string> decode(std::span<const std::int64_t> ids) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> ids_;
};

}  // namespace tapegrad
