/// The result of a backward pass: gradients by value and by parameter, for users and optimizers.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "parallel/threads.h"
#include "parameter.h"
#include "var.h"

namespace tapegrad {

/// The gradient of the loss with respect to every value that a backward pass reached. A handle into the
/// tape's arena: free to copy, stale after the tape's `reset()` and after a `rewind()` to before the pass.
class Gradients {
 public:
  /// One parameter that the pass reached, and its gradient in the parameter's own dtype.
  struct Entry {
    const Parameter* parameter;
    TensorView gradient;
  };

  Gradients() = default;

  /// d loss / d x, of x's shape. Throws when the loss does not depend on x, or x needs no gradient, and after
  /// `.consume` when x is neither a variable nor a parameter.
  Tensor operator[](const Var& x) const;
  Tensor operator[](const Parameter& p) const;
  bool contains(const Var& x) const;
  bool contains(const Parameter& p) const;
  /// The gradient as a recorded value; only after `backward(loss, {.create_graph = true})`.
  Var var(const Var& x) const;

  /// The reached parameters, in the order in which the forward first read them. The gradients may be changed
  /// in place (clipping does). `op` names the caller in the error when this handle is stale.
  std::span<const Entry> parameters(std::string_view op) const;

  /// Gradients that live outside a tape, for steps over several tapes: entries and threads are valid while
  /// `handle` is.
  Gradients(std::span<const Entry> entries, const HandleId& handle, ThreadTeam* threads = nullptr)
      : id_(handle), entries_(entries), threads_(threads) {}

  /// The threads of the step that computed these gradients, for an optimizer to share its work with; null
  /// when there are none.
  ThreadTeam* threads() const { return threads_; }

 private:
  friend class BackwardPass;

  void check_alive(std::string_view op) const;
  TensorView find(const Var& x) const;
  const Entry* find(const Parameter& p) const;

  HandleId id_;
  void* const* by_output_ = nullptr;  // cotangent of each flat output, or null
  std::uint32_t output_count_ = 0;
  bool leaves_only_ = false;  // cotangents of results were dropped by a pass that consumed the recording
  std::span<const Entry> entries_;
  ThreadTeam* threads_ = nullptr;
  std::shared_ptr<const std::vector<Var>> vars_;  // by flat output, under create_graph
};

}  // namespace tapegrad
