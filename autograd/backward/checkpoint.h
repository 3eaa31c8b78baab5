/// `checkpoint(f, x…)`: computes a function's intermediate values again in the backward pass, to save memory.
#pragma once
#include <functional>
#include <ranges>
#include <tuple>

#include "../find_tape.h"

namespace tapegrad {
namespace detail {

/// A function that a checkpoint runs again; it lives in its tape's arena.
class Segment {
 public:
  /// Runs it and appends the Vars of its result.
  virtual void run(VarList& results) const = 0;

 protected:
  Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() = default;
};

template <class T>
concept Tuple = requires {
  std::tuple_size<T>::value;
};

/// Calls `visit(Var&)` for every Var of a function's result.
template <class Result, class Visit>
void for_each_var(Result& result, Visit&& visit) {
  if constexpr (std::is_same_v<Result, Var>)
    visit(result);
  else if constexpr (std::ranges::range<Result>)
    for (auto& part : result) for_each_var(part, visit);
  else if constexpr (Tuple<Result>)
    std::apply([&](auto&... parts) { (for_each_var(parts, visit), ...); }, result);
  else
    static_assert(sizeof(Result) == 0,
                  "a checkpointed function returns Vars: one, or a VarList, vector, array, "
                  "pair or tuple of them");
}

/// The type that a checkpoint stores an argument as: a copy, or a reference to what cannot be copied (layers,
/// tapes).
template <class T>
using StoredArgument =
    std::conditional_t<std::is_lvalue_reference_v<T> && !std::is_copy_constructible_v<std::remove_cvref_t<T>>,
                       T, std::decay_t<T>>;

template <class F, class... Args>
class Call final : public Segment {
 public:
  template <class... Given>
  explicit Call(Given&&... given) : stored_(std::forward<Given>(given)...) {}

  auto operator()() const {
    return std::apply([](const auto& f, auto&... args) { return std::invoke(f, args...); }, stored_);
  }
  void run(VarList& results) const override {
    auto result = (*this)();
    for_each_var(result, [&](const Var& x) { results.push_back(x); });
  }

 private:
  std::tuple<F, Args...> stored_;
};

}  // namespace detail

/// The operations of checkpoints on a tape.
class Checkpoints {
 public:
  /// Constructs a Call in the tape's arena; it lives until what is recorded now is dropped.
  template <class Call, class... Given>
  static const Call& emplace(Tape& tape, Given&&... given) {
    return tape.objects_.emplace<Call>(std::forward<Given>(given)...);
  }
  /// Replaces what was recorded since `before` by one node, whose outputs are `results` and the values of
  /// taps, and sets `results` to these outputs; results without a gradient become constants. A backward pass
  /// records the rest again by running `segment`, which stays in the arena.
  static void collapse(Tape& tape, const detail::Segment& segment, const Tape::Mark& before,
                       VarList& results);
  /// Records the function of `node` again at the end of the tape, with its original draws, and appends the
  /// flat numbers of its results. Throws when the function gives other results.
  static void run_again(Tape& tape, const Node& node, ScratchVector<std::uint32_t>& results);
  /// The most values that one checkpoint among nodes 0 to `last` records again.
  static std::uint32_t room(const Tape& tape, std::uint32_t last);

 private:
  struct Region;
  class PinnedParameters;
  static Region scan(const Tape& tape, const Tape::Mark& before, const VarList& results);
  static void compact(Tape& tape, Region& region);
};

/// y = f(x…), where the tape keeps the result alone: f's intermediate values are dropped after the forward
/// and computed again in the backward pass, one checkpoint at a time, for about a third more time
/// (Chen et al., 2016, arXiv 1604.06174). Values and gradients are bit-identical to those of f(x…), with
/// dropout and for values that f captures, too.
///
///     Var y = checkpoint(layer, x, mask);
///     Var z = checkpoint([&layer, mask](const Var& x) { return layer(x, mask); }, y);
///
/// f is any function of the arguments, one of which is a Var or the Tape; it returns a Var, or several (a
/// VarList, array, vector, pair or tuple). Until the tape is reset, f and the arguments are kept as copies;
/// layers and other arguments that cannot be copied must stay alive as long, and so must all that f captures
/// by reference. Each backward pass runs f once more: f must depend on nothing that changes in between.
/// Throws in the backward pass when a parameter that f reads has changed (naming it) and when f gives other
/// results; throws at once when f makes a variable, or updates, freezes or unfreezes a parameter that it
/// reads.
///
/// Taps inside see values and gradients. Hooks inside run in the forward only, and what they saw is dropped
/// afterwards. On a tape that does not record it is f(x…).
template <class F, class... Args>
auto checkpoint(F&& f, Args&&... args) {
  using Call = detail::Call<detail::StoredArgument<F>, detail::StoredArgument<Args>...>;
  Tape& tape = detail::find_tape(args...);
  if (!tape.options().record) return Call(std::forward<F>(f), std::forward<Args>(args)...)();
  return tape.with_rollback([&] {
    const Call& call = Checkpoints::emplace<Call>(tape, std::forward<F>(f), std::forward<Args>(args)...);
    const Tape::Mark before = tape.mark();
    auto result = call();
    VarList vars;
    detail::for_each_var(result, [&](const Var& x) { vars.push_back(x); });
    Checkpoints::collapse(tape, call, before, vars);
    std::size_t at = 0;
    detail::for_each_var(result, [&](Var& x) { x = vars[at++]; });
    return result;
  });
}

}  // namespace tapegrad
