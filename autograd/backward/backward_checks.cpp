// The checks of a backward pass: preconditions, changed parameters, gradient hooks, and numbers that are not
// finite.
#include "../observe/check.h"
#include "backward_pass.h"

namespace tapegrad {

void BackwardPass::check() const {
  tape_.check_open("backward");
  const Tape& recorded_on = loss_.tape("backward");  // throws when the handle is empty or stale
  expects(&recorded_on == &tape_, "backward: the loss of shape {} was recorded on another tape",
          loss_.shape());
  expects(tape_.options().record, "backward: this tape does not record (.record = false)");
  expects(!(options_.consume && options_.create_graph),
          "backward: .consume and .create_graph exclude each other");
  expects(options_.leaf_gradients == nullptr || !options_.create_graph,
          "backward: .leaf_gradients and .create_graph exclude each other");
  if (options_.cotangent)
    expects(options_.cotangent.shape() == loss_.shape() && options_.cotangent.dtype() == tape_.dtype(),
            "backward: the cotangent is {} {}, but the loss is {} {}; they must agree",
            dtype_name(options_.cotangent.dtype()), options_.cotangent.shape(), dtype_name(tape_.dtype()),
            loss_.shape());
  else
    expects(
        loss_.size() == 1,
        "backward: the loss must have one element, got shape {}; reduce it with sum() or give a cotangent",
        loss_.shape());
  expects(loss_.needs_grad(), "backward: the loss depends on no variable and no trainable parameter");
  if (tape_.options_.check && options_.cotangent)
    if (const Index at = first_non_finite(options_.cotangent.view()); at >= 0)
      throw NonFiniteError(fmt::format("check: backward was given {} in the cotangent of the loss, {}",
                                       element_text(options_.cotangent.view(), at),
                                       range_text(options_.cotangent.view())));
}

/// Throws when a value was changed since it was recorded: the gradient would be silently wrong.
void BackwardPass::check_versions(const Node& n) const {
  for (std::uint16_t i = 0; i < n.input_count; ++i)
    if (tape_.flat_[n.inputs[i]].of_parameter) check_version(n, node(owner(n.inputs[i])));
}

void BackwardPass::check_version(const Node& n, const Node& from) const {
  if (!from.outdated()) return;
  try {
    tape_.check_version(n.op->name(), from);
  } catch (Error& error) {
    error.add_path(*n.path);
    throw;
  }
}

void BackwardPass::run_hooks(std::uint32_t i) {
  for (std::size_t at = 0; at < tape_.observers_.watched_.size(); ++at) {
    const Observers::Watched w = tape_.observers_.watched_[at];
    if (w.node != i) continue;
    const std::uint32_t flat = node(i).first_output + w.output;
    if (cotangents_) cotangents_->zero_fill_unwritten(flat);
    const TensorView found = gradient(flat);
    if (found)
      tape_.observers_.run_gradient_hooks(*w.path, tape_.handle(i, w.output),
                                          Tensor::borrowed(found, loss_.id()));
  }
}

void BackwardPass::check_finite(const Node& n) const {
  for (std::uint16_t i = 0; i < n.input_count; ++i) {
    const TensorView sum = cotangent(n.inputs[i]);
    const Index at = first_non_finite(sum, cotangents_->written(n.inputs[i]));
    if (at < 0) continue;
    std::vector<TensorView> values, output_grads;
    for (std::uint16_t k = 0; k < n.input_count; ++k) values.push_back(tape_.output(n.inputs[k]));
    for (int k = 0; k < n.op->outputs(); ++k)
      output_grads.push_back(cotangent(n.first_output + static_cast<std::uint32_t>(k)));
    NonFiniteError error(fmt::format(
        "check: the backward of {} made {} in the gradient of input {}, on tape position {}; {}; {}",
        n.op->name(), element_text(sum, at), i, owner(n.first_output),
        list_ranges("output gradient", output_grads), list_ranges("input", values)));
    error.add_path(*n.path);
    throw error;
  }
}

}  // namespace tapegrad
