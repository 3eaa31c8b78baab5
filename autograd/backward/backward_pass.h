/// One backward pass over a tape, node by node. Internal to Tape::backward and BackwardSteps.
#pragma once
#include <memory>
#include <optional>

#include "../base/temporarily.h"
#include "../tape.h"
#include "cotangents.h"

namespace tapegrad {

/// One backward pass over a tape. Nodes stand in the order they ran, so the reverse loop is a reverse
/// topological order: no recursion over the graph, no visited set, and every node's cotangent is complete
/// when its turn comes.
class BackwardPass {
 public:
  BackwardPass(Tape& tape, const Var& loss, const BackwardOptions& options)
      : tape_(tape),
        loss_(loss),
        options_(options),
        leaf_arena_(options.leaf_gradients != nullptr ? *options.leaf_gradients : tape.gradient_arena_) {}

  Gradients run();

  // One node at a time: begin(), step(i) from the loss's node down to 0, finish().

  /// Throws when a backward pass from the loss is not possible.
  void check() const;
  void begin();
  /// Returns true when the cotangent of a result of node i has arrived. Leaves are never walked.
  bool reached(std::uint32_t i) const;
  void step(std::uint32_t i);
  Gradients finish(const HandleId& handle);
  /// A handle that stays alive as long as the values that the pass reads.
  HandleId make_id();

  /// Makes room for nodes recorded since the last step. Call it before a step when there may be any.
  void make_room();
  /// Fills unwritten parts of the cotangents of node i's results with zeros.
  void zero_fill_output_grads(std::uint32_t i) {
    for (std::uint16_t k = 0; k < node(i).output_count; ++k)
      cotangents_->zero_fill_unwritten(node(i).first_output + k);
  }
  CotangentView cotangent(std::uint32_t flat) const {
    const TensorView& value = tape_.output(flat);
    return {(*cotangents_)[flat], value.shape, value.dtype};
  }
  /// A copy of a buffer, with zeros where nothing was written; empty where nothing arrived.
  Tensor copy(std::uint32_t flat) const;
  /// The contributions of node i to the gradients of its inputs, as owned tensors (empty where no gradient is
  /// needed, and for a checkpoint). The gradient sums stay as they are. Cotangents of results that the op
  /// completes are completed in place when `in_place`, else in copies.
  std::vector<Tensor> contributions(std::uint32_t i, bool in_place);
  /// Adds tensors that `contributions` made with `in_place`, in place of those of `step(i)`.
  void add_contributions(std::uint32_t i, std::span<const Tensor> input_grads);

 private:
  Gradients walk_back();
  const Node& node(std::uint32_t i) const { return tape_.nodes_[i]; }
  std::uint32_t owner(std::uint32_t flat) const { return tape_.flat(flat).node; }
  bool needs(std::uint32_t flat) const { return tape_.flat(flat).needs_grad; }
  bool is_leaf(std::uint32_t flat) const { return tape_.flat(flat).leaf; }
  Var var(std::uint32_t flat) const {
    const std::uint32_t i = owner(flat);
    return tape_.handle(i, flat - node(i).first_output);
  }

  void check_versions(const Node& n) const;
  void check_version(const Node& n, const Node& from) const;
  void check_finite(const Node& n) const;
  void run_hooks(std::uint32_t i);

  bool arrived(const Node& n);
  void meet_leaf(std::uint32_t i);
  void release(const Node& n);
  void seed_buffer();
  void allocate_internal(const Node& n);
  void raw_backward(const Node& n);
  void transient_pullback(const Node& n);
  static void add_to(void* sum, const TensorView& part);
  void run_again(const Node& n, ScratchVector<std::uint32_t>& results);
  void recompute(const Node& n);
  VarList pullback(const Node& n, const VarList& cotangents) const;

  // Passes that can be differentiated again: backward_graph.cpp.
  void walk_graph();
  void accumulate(std::uint32_t flat, const Var& part);
  void walk(std::uint32_t begin, std::uint32_t end);
  void pull_back(std::uint32_t i, const VarList& cotangents);
  void recompute(const Node& n, const VarList& cotangents);
  void expand(const Node& n, const VarList& cotangents);

  std::span<const Gradients::Entry> parameters() const;
  TensorView gradient(std::uint32_t flat) const;

  /// Runs the pullback written in ops at the end of the tape, without recording, and drops it again; calls
  /// `take(i, part)` with the part for input i.
  template <class Take>
  void run_pullback(const Node& n, Take&& take) {
    Tape::Mark mark = tape_.mark();
    const Temporarily record(tape_.options_.record, false), check(tape_.options_.check, false);
    try {
      VarList cotangents;
      for (std::uint16_t k = 0; k < n.output_count; ++k) {
        const TensorView view = cotangent(n.first_output + k);
        cotangents.push_back(view ? tape_.append_leaf(view, false) : Var());
      }
      const VarList results = pullback(n, cotangents);
      for (std::uint16_t i = 0; i < n.input_count; ++i)
        if (results[i] && needs(n.inputs[i])) take(i, tape_.output(tape_.flat_number(results[i])));
    } catch (...) {
      tape_.rewind(mark);
      throw;
    }
    mark.gradients = tape_.gradient_arena_.used();  // the sums stay
    tape_.rewind(mark);
  }

  Tape& tape_;
  const Var loss_;
  const BackwardOptions options_;
  Arena& leaf_arena_;
  std::uint32_t count_ = 0;  // flat outputs up to the loss
  std::uint32_t room_ = 0;   // flat outputs that a checkpoint records again, at most
  std::optional<Cotangents> cotangents_;
  ScratchVector<std::uint32_t> parameter_nodes_;  // from the last to the first
  std::shared_ptr<std::vector<Var>> vars_;
};

}  // namespace tapegrad
