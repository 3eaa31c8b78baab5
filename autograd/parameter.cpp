#include "parameter.h"
#include "base/edit_distance.h"

#include <algorithm>
#include <mutex>
#include <unordered_set>

namespace tapegrad {
namespace {

/// FNV-1a, which gives one number for a path on every machine.
std::uint64_t path_hash(std::string_view path) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

void Parameter::assign(const Tensor& values) const {
  expects(values.shape() == shape(), "assign: parameter '{}' has shape {}, got {}", path(), shape(),
          values.shape());
  update([&](Tensor& own) { convert(values.view(), own.view()); });
}

Scope ParameterStore::root() { return {*this, ""}; }

Index ParameterStore::trainable_values() const {
  Index n = 0;
  for (const Parameter& p : list_)
    if (p.trainable()) n += p.value().size();
  return n;
}

Parameter ParameterStore::find(std::string_view path) const {
  const auto at = by_path_.find(std::string(path));
  return at == by_path_.end() ? Parameter() : at->second;
}

Parameter ParameterStore::at(std::string_view path) const {
  const Parameter found = find(path);
  if (found) return found;
  std::vector<std::string> paths;
  for (const auto& [known, parameter] : by_path_) paths.push_back(known);
  std::sort(paths.begin(), paths.end());
  const std::string nearest = nearest_name(path, paths);
  throw Error(fmt::format("parameters: no parameter '{}'{}", path,
                          nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
}

void ParameterStore::set_frozen(std::string_view pattern, bool frozen) {
  bool any = false;
  for (const auto& [path, parameter] : by_path_) {
    if (!path_matches(pattern, path)) continue;
    parameter.data_->frozen = frozen;
    any = true;
  }
  expects(any, "freeze: no parameter's path matches '{}'", pattern);
}

void ParameterStore::swap(ParameterStore& other) {
  expects(size() == other.size(), "swap: a store of {} parameters with one of {}", size(), other.size());
  for (const Parameter& p : list_) {
    const Parameter twin = other.at(p.path());
    expects(twin.shape() == p.shape() && twin.dtype() == p.dtype(),
            "swap: parameter '{}' is {} {} here and {} {} there", p.path(), dtype_name(p.dtype()), p.shape(),
            dtype_name(twin.dtype()), twin.shape());
  }
  for (const Parameter& p : list_)
    p.update(
        [&](Tensor& mine) { other.at(p.path()).update([&](Tensor& theirs) { std::swap(mine, theirs); }); });
}

void ParameterStore::check_new(std::string_view path) const {
  expects(!find(path), "parameters: '{}' exists already; every layer needs a scope of its own", path);
}

Parameter ParameterStore::create(std::string path, Shape shape, const Initializer& init, bool buffer) {
  check_new(path);
  auto data = std::make_shared<ParameterData>();
  data->path = path;
  data->value = Tensor(shape, dtype_);
  data->buffer = buffer;
  init(data->value, random_key(seed_, path_hash(path), 0, 0));
  data->initial = init.rule(shape);
  list_.emplace_back(std::move(data));
  by_path_.emplace(std::move(path), list_.back());
  return list_.back();
}

void ParameterStore::tie(std::string path, const Parameter& parameter) {
  expects(parameter && find(parameter.path()) == parameter,
          "parameters: '{}' can be tied only to a parameter of its own store{}", path,
          parameter ? fmt::format(", '{}' is of another", parameter.path()) : ", got an empty one");
  check_new(path);
  by_path_.emplace(path, parameter);
  ties_.push_back({std::move(path), parameter});
}

Scope Scope::operator/(std::string_view child) const {
  return {*store_, path_.empty() ? std::string(child) : fmt::format("{}.{}", path_, child)};
}

Scope Scope::operator/(Index child) const { return *this / fmt::format("{}", child); }

Parameter Scope::parameter(std::string_view name, Shape shape, const Initializer& init) const {
  return store_->create((*this / name).path_, shape, init, false);
}

Parameter Scope::buffer(std::string_view name, Shape shape, const Initializer& init) const {
  return store_->create((*this / name).path_, shape, init, true);
}

Parameter Scope::tie(std::string_view name, const Parameter& parameter) const {
  store_->tie((*this / name).path_, parameter);
  return parameter;
}

bool path_matches(std::string_view pattern, std::string_view path) {
  std::size_t p = 0, s = 0, star = std::string_view::npos, resume = 0;
  while (s < path.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = s;
    } else if (p < pattern.size() && pattern[p] == path[s]) {
      ++p, ++s;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      s = ++resume;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(),
                     [](char c) { return c == '*'; });
}

const std::string* interned_path(std::string_view path) {
  static std::mutex mutex;
  static auto& paths = *new std::unordered_set<std::string>;  // never freed: tapes point into it
  const std::lock_guard lock(mutex);
  return &*paths.emplace(path).first;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  std::int64_t distance = std::max<std::int64_t>(2, static_cast<std::int64_t>(name.size()) / 3) + 1;
  for (const std::string& candidate : candidates)
    if (const std::int64_t d = edit_distance(name, candidate); d < distance) {
      distance = d;
      best = candidate;
    }
  return best;
}

}  // namespace tapegrad
