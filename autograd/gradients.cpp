#include "gradients.h"

#include <algorithm>

#include "tape.h"

namespace tapegrad {
namespace {

/// Returns the shape of x, also after its recording was consumed.
const Shape& recorded_shape(const Var& x) {
  return x.id().slot->tape->node(x.id().node).outputs[x.output()].shape;
}

}  // namespace

void Gradients::check_alive(std::string_view op) const {
  expects(id_.slot != nullptr, "{}: empty Gradients; they come from backward()", op);
  if (id_.alive()) return;
  expects(id_.slot->tape != nullptr || id_.slot->live_pass != 0, "{}: stale Gradients, their tape is gone",
          op);
  throw Error(fmt::format(
      "{}: stale Gradients, their tape was reset (or a later step began) after the backward pass", op));
}

TensorView Gradients::find(const Var& x) const {
  check_alive("gradients");
  const Tape* owner = x ? x.id().slot->tape : nullptr;
  if (owner == nullptr || !owner->holds(x.id())) x.tape("gradients");  // throws
  const Tape& tape = *owner;
  expects(x.id().slot == id_.slot, "gradients: a value of shape {} that was recorded on another tape",
          recorded_shape(x));
  if (x.id().serial > id_.serial)
    return {};  // recorded after the pass, maybe in the place of a rewound value
  const std::uint32_t number = tape.node(x.id().node).first_output + x.output();
  if (vars_)
    return number < vars_->size() && (*vars_)[number] ? (*vars_)[number].value().view() : TensorView{};
  expects(
      !leaves_only_ || tape.node(x.id().node).op == nullptr,
      "gradients: backward(loss, {{.consume = true}}) keeps the gradients of variables and parameters only, "
      "not of this result of shape {}; leave out .consume",
      recorded_shape(x));
  if (number >= output_count_ || by_output_[number] == nullptr) return {};
  TensorView gradient = tape.output(number);
  gradient.bytes = by_output_[number];
  return gradient;
}

const Gradients::Entry* Gradients::find(const Parameter& p) const {
  const auto entries = parameters("gradients");
  const auto at =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return *e.parameter == p; });
  return at == entries.end() ? nullptr : &*at;
}

bool Gradients::contains(const Var& x) const { return static_cast<bool>(find(x)); }
bool Gradients::contains(const Parameter& p) const { return find(p) != nullptr; }

Tensor Gradients::operator[](const Var& x) const {
  const TensorView found = find(x);
  expects(
      static_cast<bool>(found),
      "gradients: the loss does not depend on this value of shape {}, or it needs no gradient (a constant)",
      recorded_shape(x));
  return Tensor::borrowed(found, id_);
}

Tensor Gradients::operator[](const Parameter& p) const {
  const Entry* found = find(p);
  expects(found != nullptr, "gradients: the loss does not depend on parameter '{}', or it is frozen",
          p.path());
  return Tensor::borrowed(found->gradient, id_);
}

Var Gradients::var(const Var& x) const {
  check_alive("gradients");
  expects(vars_ != nullptr, "gradients: var() needs backward(loss, {{.create_graph = true}})");
  expects(
      contains(x),
      "gradients: the loss does not depend on this value of shape {}, or it needs no gradient (a constant)",
      recorded_shape(x));
  return (*vars_)[x.tape().node(x.id().node).first_output + x.output()];
}

std::span<const Gradients::Entry> Gradients::parameters(std::string_view op) const {
  check_alive(op);
  return entries_;
}

}  // namespace tapegrad
