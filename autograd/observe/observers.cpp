#include "observers.h"

#include <algorithm>

#include "../base/temporarily.h"

namespace tapegrad {
namespace {

template <class Hooks>
bool any_matches(const Hooks& hooks, std::string_view path) {
  return std::any_of(hooks.begin(), hooks.end(),
                     [&](const auto& hook) { return path_matches(hook.first, path); });
}

/// Runs the hooks of `path` by position, each from a copy, as a hook may add or remove hooks.
template <class Hooks, class... Args>
void run_matching(const Hooks& hooks, const std::string& path, const Args&... args) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const auto [pattern, hook] = hooks[i];
    if (path_matches(pattern, path)) hook(path, args...);
  }
}

}  // namespace

void Observers::on_value(std::string pattern, ValueHook hook) {
  value_hooks_.emplace_back(std::move(pattern), std::move(hook));
}

void Observers::on_gradient(std::string pattern, GradientHook hook) {
  gradient_hooks_.emplace_back(std::move(pattern), std::move(hook));
}

bool Observers::wants(std::string_view path, std::string_view name) const {
  if (collected_names_.empty()) return false;
  const std::string full = fmt::format("{}.{}", path, name);
  return std::any_of(collected_names_.begin(), collected_names_.end(),
                     [&](const std::string& pattern) { return path_matches(pattern, full); });
}

bool Observers::wants_gradient(std::string_view path) const {
  return !gradients_muted_ && any_matches(gradient_hooks_, path);
}

bool Observers::wants_layer(std::string_view path) const {
  return any_matches(value_hooks_, path) || wants_gradient(path);
}

void Observers::add(std::string_view path, std::string_view name, const Var& value,
                    std::optional<Index> heads) {
  taps_.push_back({fmt::format("{}.{}", path, name), value, heads});
}

void Observers::run_value_hooks(const std::string& path, const Var& result) const {
  if (!values_muted_) run_matching(value_hooks_, path, result);
}

void Observers::run_gradient_hooks(const std::string& path, const Var& result, const Tensor& gradient) {
  if (gradients_muted_) return;
  const Temporarily<const std::string*> running(running_, &path);
  run_matching(gradient_hooks_, path, result, gradient);
}

void Observers::truncate(std::size_t taps, std::size_t watched) {
  while (taps_.size() > taps) taps_.pop_back();
  watched_.resize(std::min(watched_.size(), watched));
}

}  // namespace tapegrad
