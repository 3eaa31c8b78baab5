#include "examples/seq2seq/options.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/data/lines.h>

#include <algorithm>

#include "examples/seq2seq/json.h"
#include "examples/seq2seq/option_fields.h"

namespace tapegrad::seq2seq {
namespace {

constexpr std::int64_t default_epochs = 60;
constexpr std::size_t config_limit = 1 << 20;
constexpr std::int64_t most_sinusoids = 1 << 24;

std::string divisors(std::int64_t number) {
  std::string text;
  int count = 0;
  for (std::int64_t d = 1; d <= number; ++d) {
    if (number % d != 0) continue;
    if (++count > 10) return text + ", …";
    text += fmt::format("{}{}", text.empty() ? "" : ", ", d);
  }
  return text;
}

std::string json_name(std::string_view name) {
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

}  // namespace

void resolve(TrainOptions& options) {
  expects(options.d_model % options.heads == 0,
          "--heads: got {}, which does not divide --d-model {}, expected one of {}", options.heads,
          options.d_model, divisors(options.d_model));
  if (const std::int64_t most = most_sinusoids / options.d_model - 2; options.positions == "sinusoidal")
    expects(options.max_length <= most, "--max-length: got {}, expected at most {} with --d-model {}",
            options.max_length, most, options.d_model);
  if (options.source_tokens.empty()) options.source_tokens = options.tokens;
  if (options.target_tokens.empty()) options.target_tokens = options.tokens;
  if (options.encoder_layers == 0) options.encoder_layers = options.layers;
  if (options.decoder_layers == 0) options.decoder_layers = options.layers;
  if (options.epochs == 0 && options.steps == 0) options.epochs = default_epochs;
}

std::string to_json(const TrainOptions& options) {
  std::vector<std::pair<std::string, JsonScalar>> members;
  for (const Field& field : train_fields()) {
    if (field.resume == Resume::not_kept) continue;
    JsonScalar value = value_of(options, field);
    if (const auto* text = std::get_if<std::string>(&value); text && text->empty()) continue;
    members.emplace_back(json_name(field.name), std::move(value));
  }
  return to_json(members);
}

void from_json(TrainOptions& options, const std::string& text, const std::string& where) {
  TrainOptions changed = options;
  std::set<std::string> seen;
  for (const auto& [key, value] : parse_json_object(text, where)) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    const Field* field = name == "config" ? nullptr : find_field(name);
    if (!field) {
      std::vector<std::string> keys;
      for (const Field& known : train_fields()) {
        if (known.name != "config") keys.push_back(json_name(known.name));
      }
      throw DataError(
          fmt::format("{}: unknown key {}{}", where, in_quotes(key), suggestion(json_name(name), keys)));
    }
    if (!seen.insert(name).second)
      throw DataError(fmt::format("{}: key {} stands twice", where, in_quotes(key)));
    try {
      assign(changed, *field, value, fmt::format("{}: {}", where, in_quotes(key)));
    } catch (const Error& error) {
      throw DataError(error.what());
    }
  }
  options = std::move(changed);
}

void read_config(TrainOptions& options, const std::string& path) {
  LineReader reader(path, config_limit);
  std::string text;
  for (std::string line; reader.next(line); text += '\n') {
    text += line;
    if (reader.bytes() > config_limit) {
      throw DataError(fmt::format("{}: file too large, got more than {} bytes, expected at most that",
                                  printable(path), config_limit));
    }
  }
  from_json(options, text, printable(path));
}

TrainOptions resumed(const TrainOptions& saved, const TrainOptions& now) {
  TrainOptions result = saved;
  result.data = now.data;
  result.given = now.given;
  for (const Field& field : train_fields()) {
    const std::string name(field.name);
    const bool said = now.given.contains(name);
    if (said && field.resume == Resume::fixed) {
      const std::string was = to_json(value_of(saved, field)), is = to_json(value_of(now, field));
      expects(was == is,
              "--{}: got {}, but the checkpoint to resume has {}; leave it out, or train into another --out",
              name, is, was);
    }
    if (field.resume == Resume::not_kept || (said && field.resume == Resume::free)) {
      std::visit([&result, &now](auto member) { result.*member = now.*member; }, field.member);
    }
  }
  // One given limit replaces both: `--steps` would have no effect under an older limit of epochs.
  if (now.given.contains("epochs") || now.given.contains("steps")) {
    result.epochs = now.epochs;
    result.steps = now.steps;
  }
  return result;
}

}  // namespace tapegrad::seq2seq
