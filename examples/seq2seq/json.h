/// Strict parsing of flat JSON objects, for configurations and metadata.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tapegrad::seq2seq {

/// A JSON value that is neither an object nor an array. A whole number is signed when it fits, else unsigned;
/// one with a fraction or an exponent is a double.
using JsonScalar = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string>;

/// The members of the flat JSON object `text`, in order. Strict: UTF-8 without byte order mark, no comments,
/// no repeated key, no nested value, nothing after the end. Throws DataError `WHERE:LINE:COLUMN: …` or
/// `WHERE: …`.
std::vector<std::pair<std::string, JsonScalar>> parse_json_object(const std::string& text,
                                                                  const std::string& where);

/// The elements of a JSON array of strings, parsed as strictly.
std::vector<std::string> parse_json_strings(const std::string& text, const std::string& where);

std::string to_json(const std::vector<std::pair<std::string, JsonScalar>>& members);
std::string to_json(const std::vector<std::string>& strings);

/// A scalar as JSON, for messages.
std::string to_json(const JsonScalar& value);

}  // namespace tapegrad::seq2seq
