#include "examples/seq2seq/checkpoint.h"

#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>
#include <filesystem>

#include "examples/seq2seq/json.h"

namespace tapegrad::seq2seq {
namespace {

constexpr double largest_count = 9007199254740992;  // 2^53: beyond, a sum of counts could overflow

std::string text_of(const Progression& p) {
  std::vector<std::pair<std::string, JsonScalar>> members = {
      {"step", p.step},
      {"epoch", p.epoch},
      {"index", p.index},
      {"validated_step", p.validated_step},
      {"stale", p.stale},
      {"seconds", p.seconds},
      {"ema_updates", p.ema_updates},
      {"window_loss", p.window_loss},
      {"window_count", p.window_count},
      {"data", p.data},
      {"validation", p.validation},
  };
  if (p.best) {
    members.emplace_back("best_error_rate", p.best->error_rate);
    members.emplace_back("best_loss", p.best->loss);
    members.emplace_back("best_step", p.best->step);
  }
  return seq2seq::to_json(members);
}

/// Members of the stored object, checked as they are taken.
class Members {
 public:
  Members(const std::string& text, std::string where) : where_(std::move(where)) {
    for (auto& [key, value] : parse_json_object(text, where_)) members_.emplace(key, std::move(value));
  }
  bool has(const std::string& key) const { return members_.contains(key); }
  std::int64_t count(const std::string& key) const {
    const auto* value = std::get_if<std::int64_t>(&at(key));
    if (!value || *value < 0 || static_cast<double>(*value) > largest_count) refuse(key, "a count");
    return *value;
  }
  double number(const std::string& key) const {
    const JsonScalar& value = at(key);
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
    if (!std::holds_alternative<double>(value)) refuse(key, "a number");
    return std::get<double>(value);
  }
  std::string text(const std::string& key) const {
    if (!std::holds_alternative<std::string>(at(key))) refuse(key, "text");
    return std::get<std::string>(at(key));
  }

 private:
  const JsonScalar& at(const std::string& key) const {
    const auto found = members_.find(key);
    if (found == members_.end()) throw DataError(fmt::format("{}: no key \"{}\"", where_, key));
    return found->second;
  }
  [[noreturn]] void refuse(const std::string& key, std::string_view expected) const {
    throw DataError(fmt::format("{}: \"{}\": got {}, expected {}", where_, key, to_json(at(key)), expected));
  }

  std::string where_;
  std::map<std::string, JsonScalar> members_;
};

Progression read_progression(const std::string& text, const std::string& where) {
  const Members members(text, where);
  Progression p;
  p.step = members.count("step");
  p.epoch = members.count("epoch");
  p.index = members.count("index");
  p.validated_step = members.count("validated_step");
  p.stale = members.count("stale");
  p.seconds = members.number("seconds");
  p.ema_updates = members.count("ema_updates");
  p.window_loss = members.number("window_loss");
  p.window_count = members.count("window_count");
  p.data = members.text("data");
  p.validation = members.text("validation");
  if (members.has("best_step"))
    p.best = Best{members.number("best_error_rate"), members.number("best_loss"), members.count("best_step")};
  return p;
}

/// The part of a file under `prefix`, without it.
TensorFile part_of(const TensorFile& file, const std::string& prefix) {
  TensorFile part;
  for (auto at = file.tensors.lower_bound(prefix); at != file.tensors.end() && at->first.starts_with(prefix);
       ++at)
    part.tensors.emplace(at->first.substr(prefix.size()), at->second);
  for (const auto& [key, value] : file.metadata)
    if (key.starts_with(prefix) && value.starts_with(prefix))
      part.metadata.emplace(key.substr(prefix.size()), value.substr(prefix.size()));
  return part;
}

void add_part(TensorFile& file, const std::string& prefix, const TensorFile& part) {
  for (const auto& [name, value] : part.tensors) file.tensors.emplace(prefix + name, value);
  for (const auto& [key, value] : part.metadata) file.metadata.emplace(prefix + key, prefix + value);
}

constexpr const char *model_prefix = "model.", *optimizer_prefix = "optim.", *average_prefix = "ema.",
                     *best_prefix = "best.";

}  // namespace

std::string checkpoint_file(const std::string& folder) {
  return (std::filesystem::path(folder) / "checkpoint.safetensors").string();
}

void save_checkpoint(const std::string& folder, const Model& model, const Checkpoint& checkpoint) {
  TensorFile file = state_dict(model.params, {.prefix = model_prefix});
  add_part(file, optimizer_prefix, {checkpoint.optimizer, {}});
  add_part(file, average_prefix, checkpoint.average);
  add_part(file, best_prefix, checkpoint.best);
  file.metadata.merge(describe(model));
  file.metadata["training"] = text_of(checkpoint.progression);
  file.metadata["tensors"] = fmt::format("{}", file.tensors.size());
  save_safetensors(checkpoint_file(folder), file);
}

LoadedCheckpoint load_checkpoint(const std::string& folder) {
  const std::string path = checkpoint_file(folder), where = printable(path);
  const TensorFile file = load_safetensors(path);
  LoadedCheckpoint loaded;
  Checkpoint& checkpoint = loaded.checkpoint;
  checkpoint.progression = read_progression(required(file.metadata, "training", where), where + ": training");
  const std::string& tensors = required(file.metadata, "tensors", where);
  if (tensors != fmt::format("{}", file.tensors.size()))
    throw DataError(
        fmt::format("{}: got {} tensors, expected {}", where, file.tensors.size(), printable(tensors, 20)));
  const std::string_view prefixes[] = {model_prefix, optimizer_prefix, average_prefix, best_prefix};
  for (const auto& [name, value] : file.tensors)
    if (std::none_of(std::begin(prefixes), std::end(prefixes),
                     [&name = name](std::string_view prefix) { return name.starts_with(prefix); }))
      throw DataError(fmt::format("{}: unknown tensor {}", where, in_quotes(name, 200)));
  checkpoint.optimizer = part_of(file, optimizer_prefix).tensors;
  checkpoint.average = part_of(file, average_prefix);
  checkpoint.best = part_of(file, best_prefix);
  if (checkpoint.best.tensors.empty() == checkpoint.progression.best.has_value())
    throw DataError(fmt::format("{}: best weights without their score, or a score without weights", where));
  loaded.model = read_model(file, {.prefix = model_prefix, .where = where});
  for (const auto& [prefix, part] :
       {std::pair(average_prefix, &checkpoint.average), std::pair(best_prefix, &checkpoint.best)})
    if (!part->tensors.empty())
      check_state_dict(loaded.model->params, file, {.prefix = prefix, .where = where});
  return loaded;
}

}  // namespace tapegrad::seq2seq
