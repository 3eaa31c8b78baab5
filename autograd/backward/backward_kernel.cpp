// The backward of an op that has a kernel: the kernel adds to the gradient buffers of the inputs. Two things
// make it fast: a buffer is not cleared where the kernel writes it first, and a cotangent that passes through
// unchanged hands its memory over.
#include "backward_pass.h"

namespace tapegrad {

/// Allocates the cotangents of results that are intermediates of the op.
void BackwardPass::allocate_internal(const Node& n) {
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    if (n.op->accumulates_into_output_grad(k)) cotangents_->sum(n.first_output + k, n.outputs[k], false);
}

namespace {

/// Returns true when input i is no other input too; only then may it be written before the others are added.
bool alone(const Node& n, std::uint16_t i) {
  for (std::uint16_t k = 0; k < n.input_count; ++k)
    if (k != i && n.inputs[k] == n.inputs[i]) return false;
  return true;
}

}  // namespace

void BackwardPass::raw_backward(const Node& n) {
  const std::size_t count = n.input_count, outputs = n.output_count;
  CallBuffer<const TensorView*> views(count + outputs);
  CallBuffer<CotangentView> cotangents(count + outputs);
  for (std::size_t i = 0; i < count; ++i) views.put(i, tape_.flat(n.inputs[i]).view);
  for (std::size_t k = 0; k < outputs; ++k) {
    views.put(count + k, n.outputs + k);
    cotangents.put(count + k, {(*cotangents_)[n.first_output + static_cast<std::uint32_t>(k)],
                               n.outputs[k].shape, n.outputs[k].dtype});
  }
  const Views in(views.data(), count), out(views.data() + count, outputs);
  UninitializedInputs uninitialized;
  bool work = false, hand_over = options_.consume && n.is_identity_pullback;
  for (std::uint16_t i = 0; i < n.input_count; ++i) {
    const std::uint32_t flat = n.inputs[i];
    const FlatOutput& from = tape_.flat(flat);
    void* sum = nullptr;
    if (from.needs_grad) {
      const bool first = i < UninitializedInputs::most && !cotangents_->full(flat) && alone(n, i);
      const bool apart = from.leaf && options_.leaf_gradients != nullptr;
      if (hand_over && first && !apart && (*cotangents_)[flat] == nullptr &&
          n.op->is_identity_pullback(i, in, out)) {
        cotangents_->hand_over(n.first_output, flat);  // doutputs[0] still views this memory
        hand_over = false;
      } else {
        bool is_uninitialized = false;
        sum = cotangents_->write(flat, *from.view, from.leaf,
                                 first && n.writable_range ? n.op->writable_range(i, in, out) : nothing,
                                 is_uninitialized);
        if (is_uninitialized) uninitialized.add(i);
        work = true;
      }
    }
    cotangents.put(i, {sum, from.view->shape, from.view->dtype});
  }
  if (work)
    n.op->backward(
        {in, out, {cotangents.data(), count}, {cotangents.data() + count, outputs}, uninitialized});
}

}  // namespace tapegrad
