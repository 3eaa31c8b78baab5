#include "examples/seq2seq/checkpoint.h"

#include <tapegrad/nn/data/utf8.h>

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

/// A copy of the weights, or nothing.
void check_copy(const char* group, const Weights& copy, const Weights& model, const std::string& where) {
  if (copy.empty()) return;
  for (const auto& [name, value] : model) {
    const auto at = copy.find(name);
    if (at == copy.end() || at->second.shape() != value.shape() || at->second.dtype() != value.dtype())
      throw DataError(
          fmt::format("{}: tensor '{}.{}' of shape {} missing", where, group, name, value.shape()));
  }
  if (copy.size() != model.size())
    throw DataError(
        fmt::format("{}: got {} tensors '{}.…', expected {}", where, copy.size(), group, model.size()));
}

}  // namespace

std::string checkpoint_file(const std::string& folder) {
  return (std::filesystem::path(folder) / "checkpoint.safetensors").string();
}

void save_checkpoint(const std::string& folder, const Model& model, const Checkpoint& checkpoint) {
  TensorFile file{.tensors = {}, .metadata = describe(model)};
  const auto add = [&file](const char* prefix, const Weights& weights) {
    for (const auto& [name, value] : weights) file.tensors.emplace(prefix + name, value);
  };
  add("model.", checkpoint.model);
  add("optim.", checkpoint.optimizer);
  add("ema.", checkpoint.average);
  add("best.", checkpoint.best);
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
  const std::pair<std::string_view, Weights*> groups[] = {{"model.", &checkpoint.model},
                                                          {"optim.", &checkpoint.optimizer},
                                                          {"ema.", &checkpoint.average},
                                                          {"best.", &checkpoint.best}};
  for (const auto& [name, value] : file.tensors) {
    const auto* group = std::find_if(std::begin(groups), std::end(groups),
                                     [&name = name](const auto& g) { return name.starts_with(g.first); });
    if (group == std::end(groups))
      throw DataError(fmt::format("{}: unknown tensor {}", where, in_quotes(name, 200)));
    group->second->emplace(name.substr(group->first.size()), value);
  }
  check_copy("ema", checkpoint.average, checkpoint.model, where);
  check_copy("best", checkpoint.best, checkpoint.model, where);
  if (checkpoint.best.empty() == checkpoint.progression.best.has_value())
    throw DataError(fmt::format("{}: best weights without their score, or a score without weights", where));
  loaded.model = read_model(file.metadata, checkpoint.model, where);
  return loaded;
}

}  // namespace tapegrad::seq2seq
