#include "record.h"

#include <algorithm>
#include <cmath>

#include "recorder.h"

namespace tapegrad {
namespace {

bool finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

std::string before_last_dot(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

}  // namespace

std::string source_place(const SourceLocation& where) {
  constexpr std::string_view headers = "include/tapegrad/";
  std::string_view file = where.file_name();
  if (const auto at = file.rfind(headers); at != std::string_view::npos)
    file.remove_prefix(at + headers.size());
  if (file.starts_with('/') || file.starts_with('.')) file.remove_prefix(file.rfind('/') + 1);
  return fmt::format("{}:{}", file, where.line());
}

std::string RecordedValue::name() const {
  if (label.empty()) return module;
  return parameter || module.empty() ? label : fmt::format("{}.{}", module, label);
}

const RecordedValue& TapeRecord::named(const std::string& name) const {
  std::vector<std::string> names;
  for (const RecordedValue& v : values) {
    if (v.label.empty()) continue;
    names.push_back(v.name());
    if (names.back() == name) return v;
  }
  const std::string near = nearest_name(name, names);
  throw Error(fmt::format("record: no value is named '{}'{}", name,
                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

TapeRecord Recorder::run() {
  find_values();
  name_values();
  walk();
  if (options_.numeric != Numeric::none) check_values();
  return std::move(record_);
}

/// Numbers every leaf and every visible result, and the saved arrays of an op that another op reads.
void Recorder::find_values() {
  const std::uint32_t nodes = loss_.id().node + 1;
  record_.dtype = tape_.dtype();
  record_.seed = tape_.options().seed;
  const Node& last = tape_.node(nodes - 1);
  std::vector<bool> read(last.first_output + last.output_count);
  for (std::uint32_t i = 0; i < nodes; ++i)
    for (std::uint16_t k = 0; k < tape_.node(i).input_count; ++k) read[tape_.node(i).inputs[k]] = true;
  ids_.assign(read.size(), none);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    const Node& n = tape_.node(i);
    const int visible = n.op == nullptr ? 1 : n.op->outputs();
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      if (k >= visible && !read[n.first_output + k]) continue;
      ids_[n.first_output + k] = static_cast<std::uint32_t>(vars_.size());
      vars_.push_back(tape_.handle(i, k));
      RecordedValue& v = record_.values.emplace_back();
      v.id = ids_[n.first_output + k];
      v.node = i;
      v.output = k;
      v.shape = n.outputs[k].shape;
      v.value = vars_.back().value().to_vector();
      if (!finite(v.value)) v.non_finite = RecordedValue::NonFinite::value;
      describe(v, n);
    }
  }
  record_.loss = ids_[last.first_output + loss_.output()];
}

void Recorder::describe(RecordedValue& v, const Node& n) {
  v.module = *n.path;
  if (n.parameter != nullptr) {
    const std::uint64_t now = n.parameter->version();
    v.op = "parameter";
    v.label = n.parameter->path();
    v.module = before_last_dot(v.label);
    v.version = now - (static_cast<std::uint32_t>(now) - n.parameter_version);
    v.parameter = true;
  } else if (n.op == nullptr) {
    v.op = n.needs_grad ? "variable" : "constant";
  } else {
    const Formula formula = n.op->formula();
    v.op = n.op->name();
    v.formula = formula.text;
    v.rule = source_place(formula.where);
    n.op->attributes(v.attributes);
    for (std::uint16_t k = 0; k < n.input_count; ++k) v.inputs.push_back(ids_[n.inputs[k]]);
  }
}

void Recorder::name_values() {
  for (const Tap& tap : tape_.observers().collected()) {
    const Var& x = tap.value;
    if (x.id().node > loss_.id().node) continue;
    const std::uint32_t id = ids_[tape_.node(x.id().node).first_output + x.output()];
    if (id == none || !record_.values[id].label.empty()) continue;
    RecordedValue& v = record_.values[id];
    v.module = before_last_dot(tap.name);
    v.label = v.module.empty() ? tap.name : tap.name.substr(v.module.size() + 1);
  }
}

RecordedValue& Recorder::carrier(std::uint32_t i) {
  const Node& n = tape_.node(i);
  std::uint32_t first = none;
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    const std::uint32_t id = ids_[n.first_output + k];
    if (id == none) continue;
    if (!record_.values[id].gradient.empty()) return record_.values[id];
    first = std::min(first, id);
  }
  return record_.values[first];
}

void Recorder::walk() {
  BackwardSteps steps = backward_steps(loss_, {.intervene = options_.intervene});
  for (const Step& step : steps) take(step);
  const Gradients gradients = steps.gradients();
  take_gradients(gradients);
  count_flops();
  if (options_.time) time_ops(gradients);
}

void Recorder::take(const Step& step) {
  const Node& n = tape_.node(step.node);
  std::uint32_t id = none;
  for (std::size_t k = step.output_grads.size(); k-- > 0;) {
    const std::uint32_t result = ids_[n.first_output + static_cast<std::uint32_t>(k)];
    if (step.output_grads[k] && result != none) id = result;
  }
  record_.order.push_back(id);
  for (std::size_t k = 0; k < step.input_grads.size(); ++k) {
    const Tensor& part = step.input_grads[k];
    if (!part) continue;
    record_.values[id].input_grads.push_back(
        {static_cast<std::uint32_t>(k), ids_[n.inputs[k]], part.shape(), part.to_vector()});
  }
}

void Recorder::take_gradients(const Gradients& gradients) {
  for (RecordedValue& v : record_.values) {
    const Var& x = vars_[v.id];
    if (!gradients.contains(x)) continue;
    v.gradient = gradients[x].to_vector();
    if (v.non_finite == RecordedValue::NonFinite::none && !finite(v.gradient))
      v.non_finite = RecordedValue::NonFinite::gradient;
  }
}

void Recorder::count_flops() {
  for (std::uint32_t i = 0; i <= loss_.id().node; ++i) {
    const Node& n = tape_.node(i);
    if (n.op == nullptr) continue;
    ViewList in, out;
    for (std::uint16_t k = 0; k < n.input_count; ++k) in.push_back(tape_.output(n.inputs[k]));
    for (std::uint16_t k = 0; k < n.output_count; ++k) out.push_back(n.outputs[k]);
    carrier(i).flops = n.op->flops(in, out);
  }
}

TapeRecord record(const Var& loss, const RecordOptions& options) {
  Tape& tape = loss.tape("record");
  expects(tape.options().record, "record: this tape does not record (.record = false)");
  const auto quiet = tape.observers().mute_gradients();
  const Tape::Mark before = tape.mark();
  try {
    TapeRecord taken = Recorder(tape, loss, options).run();
    tape.rewind(before);
    return taken;
  } catch (...) {
    tape.rewind(before);
    throw;
  }
}

}  // namespace tapegrad
