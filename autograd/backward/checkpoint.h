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

/// How a checkpoint keeps what it was given: a copy, or a reference to what cannot be copied (layers, tapes).
template <class T>
using Kept =
    std::conditional_t<std::is_lvalue_reference_v<T> && !std::is_copy_constructible_v<std::remove_cvref_t<T>>,
                       T, std::decay_t<T>>;

template <class F, class... Args>
class Call final : public Segment {
 public:
  template <class... Given>
  explicit Call(Given&&... given) : kept_(std::forward<Given>(given)...) {}

  auto operator()() const {
    return std::apply([](const auto& f, auto&... args) { return std::invoke(f, args...); }, kept_);
  }
  void run(VarList& results) const override {
    auto result = (*this)();
    for_each_var(result, [&](const Var& x) { results.push_back(x); });
  }

 private:
  std::tuple<F, Args...> kept_;
};

}  // namespace detail

/// The part of a checkpoint that knows the tape.
class Checkpoints {
 public:
  /// Keeps `segment` until what was recorded now is dropped.
  template <class Call, class... Given>
  static const Call& keep(Tape& tape, Given&&... given) {
    return tape.objects_.emplace<Call>(std::forward<Given>(given)...);
  }
  /// Keeps of what was recorded since `before` only `results` and taps, which it replaces by what stays; the
  /// rest is dropped, to be recorded again by `segment`, in the arena, when a backward pass comes by.
  static void close(Tape& tape, const detail::Segment& segment, const Tape::Mark& before, VarList& results);
  /// Records the function of `node` once more, at the end of the tape, with the draws that it had, and
  /// appends the flat numbers of what `close` kept. Throws when it does not do what it did before.
  static void run_again(Tape& tape, const Node& node, ScratchVector<std::uint32_t>& results);
  /// The number of values that one checkpoint among nodes 0 to `last` records again at most.
  static std::uint32_t room(const Tape& tape, std::uint32_t last);

 private:
  struct Survey;
  class PinnedParameters;
  static Survey survey(const Tape& tape, const Tape::Mark& before, const VarList& results);
  static void move_down(Tape& tape, Survey& survey);
};

/// y = f(x…), of which the tape keeps the result alone: f's intermediate values are dropped after the forward
/// and computed again in the backward pass, one checkpoint at a time, for about a third more time
/// (Chen et al., 2016, arXiv 1604.06174). Values and gradients have the same bits as f(x…), dropout included;
/// so have gradients of values that f takes from elsewhere.
///
///     Var y = checkpoint(layer, x, mask);
///     Var z = checkpoint([&layer, mask](const Var& x) { return layer(x, mask); }, y);
///
/// f is any function of the arguments, one of which is a Var or the Tape; it returns a Var, or several (a
/// VarList, array, vector, pair or tuple). Until the tape is reset, f and the arguments are kept as copies;
/// layers and whatever else cannot be copied must stay alive as long, and so must all that f captures by
/// reference. f runs once a backward pass more: it must depend on nothing that changes meanwhile. Throws in
/// the backward pass when a parameter that f reads has changed (naming it) and when f gives other results;
/// throws at once when f makes a variable, or updates, freezes or unfreezes a parameter that it reads.
///
/// Taps inside see values and gradients. Hooks inside run in the forward only, and what they saw is dropped
/// afterwards. On a tape that does not record it is f(x…).
template <class F, class... Args>
auto checkpoint(F&& f, Args&&... args) {
  using Call = detail::Call<detail::Kept<F>, detail::Kept<Args>...>;
  Tape& tape = detail::find_tape(args...);
  if (!tape.options().record) return Call(std::forward<F>(f), std::forward<Args>(args)...)();
  return tape.attempt([&] {
    const Call& call = Checkpoints::keep<Call>(tape, std::forward<F>(f), std::forward<Args>(args)...);
    const Tape::Mark before = tape.mark();
    auto result = call();
    VarList vars;
    detail::for_each_var(result, [&](const Var& x) { vars.push_back(x); });
    Checkpoints::close(tape, call, before, vars);
    std::size_t at = 0;
    detail::for_each_var(result, [&](Var& x) { x = vars[at++]; });
    return result;
  });
}

}  // namespace tapegrad
