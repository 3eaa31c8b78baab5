// Checkpoints in a backward pass.
#include "backward_pass.h"
#include "checkpoint.h"

namespace tapegrad {

void BackwardPass::run_again(const Node& n, ScratchVector<std::uint32_t>& results) {
  try {
    Checkpoints::run_again(tape_, n, results);
  } catch (Error& error) {
    error.add_path(*n.path);
    throw;
  }
}

/// Records a checkpoint's function at the end of the tape, walks it back in place of the checkpoint's node,
/// and drops it again. The cotangents of the checkpoint's results move to the new results, and back unless
/// `.consume` gives them up.
void BackwardPass::recompute(const Node& n) {
  Tape::Mark mark = tape_.mark();
  try {
    ScratchVector<std::uint32_t> results;
    run_again(n, results);
    for (std::uint16_t k = 0; k < n.output_count; ++k) cotangents_->hand_over(n.first_output + k, results[k]);
    for (auto i = static_cast<std::uint32_t>(tape_.nodes_.size()); i-- > mark.nodes;) step(i);
    if (!options_.consume) {
      for (std::uint16_t k = 0; k < n.output_count; ++k)
        cotangents_->hand_over(results[k], n.first_output + k);
      for (auto flat = static_cast<std::uint32_t>(mark.outputs); flat < tape_.flat_.size(); ++flat)
        cotangents_->release(flat, tape_.output(flat));
    }
  } catch (...) {
    tape_.rewind(mark);
    throw;
  }
  mark.gradients = tape_.gradient_arena_.used();  // the sums stay
  tape_.rewind(mark);
}

}  // namespace tapegrad
