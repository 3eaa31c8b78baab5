#include "checkpoint.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "../base/temporarily.h"

namespace tapegrad {
namespace {

/// The node of a checkpoint; a backward pass records `segment` again in place of a pullback.
struct Recorded final : Primitive {
  const detail::Segment* segment;
  const TensorView* results;
  int count;
  bool training;
  std::uint32_t room;        // most values that a rerun records, inner checkpoints included
  std::uint64_t draws;       // the draw counter at its beginning
  std::uint64_t begin, end;  // serials of the dropped nodes

  const char* name() const override { return "checkpoint"; }
  Formula formula() const override { return "y = f(x);  dx: f is recorded again and walked back"; }
  int outputs() const override { return count; }
  Shape shape(Views, int output) const override { return results[output].shape; }
  void forward(Views, Views) const override { assert(false); }
  VarList pullback(const PullbackArgs&) const override { return {}; }
  bool dropped(std::uint64_t serial) const override { return begin <= serial && serial < end; }
};

template <class T>
void make_distinct(ScratchVector<T>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

template <class... Args>
void demand(bool same, fmt::format_string<Args...> difference, Args&&... args) {
  if (!same) [[unlikely]]
    throw Error(
        fmt::format("checkpoint: the function did something else when it ran again in the backward "
                    "pass: {}; it may depend on nothing that changes in between",
                    fmt::format(difference, std::forward<Args>(args)...)));
}

}  // namespace

struct Checkpoints::Region {
  ScratchVector<std::uint32_t> inputs;      // flat numbers of values from before, in order
  ScratchVector<std::uint32_t> parameters;  // nodes inside
  ScratchVector<std::uint32_t> results;     // flat numbers of distinct results inside that have gradients
  ScratchVector<std::uint32_t> constants;   // flat numbers of distinct results inside without gradients
  ScratchVector<TensorView> values;         // of results, then of constants
  std::uint32_t room = 0;
};

/// Classifies the values recorded since `before`.
Checkpoints::Region Checkpoints::scan(const Tape& tape, const Tape::Mark& before, const VarList& results) {
  Region found;
  const auto check_version = [&](const Node& n) {
    if (n.parameter != nullptr) tape.check_version("checkpoint", n);
  };
  for (auto i = static_cast<std::uint32_t>(before.nodes); i < tape.nodes_.size(); ++i) {
    const Node& n = tape.nodes_[i];
    if (n.parameter != nullptr) {
      check_version(n);
      found.parameters.push_back(i);
    } else {
      expects(
          n.op != nullptr || !n.needs_grad,
          "checkpoint: a variable of shape {} was made inside, where its gradient is dropped; make it before "
          "and pass it in",
          n.outputs[0].shape);
    }
    for (std::uint16_t k = 0; k < n.input_count; ++k)
      if (n.inputs[k] < before.outputs) found.inputs.push_back(n.inputs[k]);
    if (n.checkpoint) found.room = std::max(found.room, static_cast<const Recorded&>(*n.op).room);
  }
  found.room += static_cast<std::uint32_t>(tape.flat_.size() - before.outputs);
  make_distinct(found.inputs);
  for (const std::uint32_t flat : found.inputs) check_version(tape.nodes_[tape.flat_[flat].node]);

  for (const Var& x : results) {
    if (!x || x.id().node < before.nodes) continue;
    const Node& n = tape.nodes_[x.id().node];
    if (n.parameter != nullptr) continue;
    auto& list = n.needs_grad ? found.results : found.constants;
    const std::uint32_t flat = n.first_output + x.output();
    if (std::find(list.begin(), list.end(), flat) == list.end()) list.push_back(flat);
  }
  for (const auto* list : {&found.results, &found.constants})
    for (const std::uint32_t flat : *list) found.values.push_back(tape.output(flat));
  return found;
}

/// Moves the values that stay to where the arena was rewound to. In the order of their addresses none is
/// overwritten before its turn, as each moves to a lower address.
void Checkpoints::compact(Tape& tape, Region& region) {
  ScratchVector<TensorView*> order;
  for (TensorView& view : region.values) order.push_back(&view);
  std::sort(order.begin(), order.end(),
            [](const TensorView* a, const TensorView* b) { return std::less<>()(a->bytes, b->bytes); });
  for (TensorView* view : order) {
    void* to = tape.arena_.allocate(view->byte_count());
    assert(!std::less<>()(view->bytes, to));
    std::memmove(to, view->bytes, view->byte_count());
    view->bytes = to;
  }
}

void Checkpoints::collapse(Tape& tape, const detail::Segment& segment, const Tape::Mark& before,
                           VarList& results) {
  const std::size_t returned = results.size();
  for (std::size_t i = 0; i < returned; ++i)
    if (results[i])
      expects(&results[i].tape("checkpoint") == &tape,
              "checkpoint: result {} of shape {} was recorded on another tape", i, results[i].shape());
  std::vector<Tap> taps(tape.observers_.taps_.begin() + static_cast<std::ptrdiff_t>(before.taps),
                        tape.observers_.taps_.end());
  for (const Tap& tap : taps) results.push_back(tap.value);
  Region found = scan(tape, before, results);

  struct Place {
    std::uint32_t was;  // a flat number inside
    Var is;
  };
  struct ParameterLeaf {  // a leaf that was made inside
    const Parameter* parameter;
    const std::string* path;
    std::uint32_t was;
    bool trained;
  };
  ScratchVector<Place> places;
  ScratchVector<ParameterLeaf> parameters;
  for (const std::uint32_t i : found.parameters) {
    const Node& n = tape.nodes_[i];
    parameters.push_back({n.parameter, n.path, n.first_output, n.needs_grad});
  }
  constexpr std::uint32_t none = UINT32_MAX;
  ScratchVector<std::uint32_t> numbers;  // of the results inside
  for (const Var& x : results)
    numbers.push_back(x && x.id().node >= before.nodes ? tape.flat_number(x) : none);
  const std::uint64_t draws = tape.draws_, end = tape.slot_->next_serial;
  expects(found.results.size() <= UINT16_MAX, "checkpoint: {} results, at most {} are possible",
          found.results.size(), UINT16_MAX);

  tape.rewind(before);
  tape.draws_ = draws;
  compact(tape, found);
  // Parameters first read inside get their leaves, and their place in the order, outside.
  for (const ParameterLeaf& leaf : parameters) {
    const RecordScope guard(tape, leaf.path);
    places.push_back({leaf.was, tape[*leaf.parameter]});
    expects(places.back().is.needs_grad() == leaf.trained,
            "checkpoint: parameter '{}' was frozen or unfrozen inside; do it before", leaf.parameter->path());
    found.inputs.push_back(tape.flat_number(places.back().is));
  }
  for (std::size_t k = 0; k < found.constants.size(); ++k)
    places.push_back({found.constants[k], tape.append_leaf(found.values[found.results.size() + k], false)});
  expects(found.inputs.size() <= UINT16_MAX, "checkpoint: {} values are read, at most {} are possible",
          found.inputs.size(), UINT16_MAX);
  if (!found.results.empty()) {
    auto* inputs = tape.arena_.array<std::uint32_t>(found.inputs.size());
    std::copy(found.inputs.begin(), found.inputs.end(), inputs);
    auto* outputs = tape.arena_.array<TensorView>(found.results.size());
    std::uninitialized_copy_n(found.values.begin(), found.results.size(), outputs);
    auto& op = *new (tape.arena_.allocate(sizeof(Recorded))) Recorded;
    op.segment = &segment;
    op.results = outputs;
    op.count = static_cast<int>(found.results.size());
    op.training = tape.options_.training;
    op.room = found.room;
    op.draws = before.draws;
    op.begin = before.serial;
    op.end = end;
    Node& node = tape.nodes_.add();
    node.op = &op;
    node.inputs = inputs;
    node.outputs = outputs;
    node.input_count = static_cast<std::uint16_t>(found.inputs.size());
    node.output_count = static_cast<std::uint16_t>(found.results.size());
    node.needs_grad = node.checkpoint = true;
    const HandleId handle = tape.number(node).id();
    for (std::uint16_t k = 0; k < node.output_count; ++k) places.push_back({found.results[k], {handle, k}});
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (numbers[i] == none) continue;
    const auto at = std::find_if(places.begin(), places.end(),
                                 [&](const Place& place) { return place.was == numbers[i]; });
    assert(at != places.end());
    results[i] = at->is;
  }
  for (std::size_t i = 0; i < taps.size(); ++i) {
    taps[i].value = results[returned + i];
    tape.observers_.add(std::move(taps[i]));
  }
}

/// Pins the leaves of the parameters that a checkpoint read, so that a rerun reads them even if they were
/// frozen since.
class Checkpoints::PinnedParameters {
 public:
  PinnedParameters(Tape& tape, const Node& checkpoint) : tape_(tape), checkpoint_(checkpoint) { pin(true); }
  ~PinnedParameters() { pin(false); }
  PinnedParameters(const PinnedParameters&) = delete;
  PinnedParameters& operator=(const PinnedParameters&) = delete;

 private:
  void pin(bool on) {
    for (std::uint16_t k = 0; k < checkpoint_.input_count; ++k) {
      const std::uint32_t at = tape_.flat_[checkpoint_.inputs[k]].node;
      const Node& input = tape_.nodes_[at];
      if (input.parameter == nullptr || input.outdated()) continue;
      Tape::ParameterLeaf& leaf = tape_.parameter_leaves_[input.parameter->data()];
      leaf.pinned = on;
      if (on) leaf.handle = {tape_.slot_, input.serial, at};
    }
  }

  Tape& tape_;
  const Node& checkpoint_;
};

void Checkpoints::run_again(Tape& tape, const Node& node, ScratchVector<std::uint32_t>& results) {
  const auto& op = static_cast<const Recorded&>(*node.op);
  const Temporarily training(tape.options_.training, op.training);
  const PinnedParameters pinned(tape, node);
  const Temporarily draws(tape.draws_, op.draws);
  const RecordScope path(tape, node.path);
  const auto muted = tape.observers_.mute_values();
  const Tape::Mark before = tape.mark();
  VarList vars;
  op.segment->run(vars);
  const auto& taps = tape.observers_.taps_;
  for (std::size_t i = before.taps; i < taps.size(); ++i) vars.push_back(taps[i].value);

  Region found = scan(tape, before, vars);
  tape.observers_.truncate(before.taps, tape.observers_.watched_.size());
  demand(found.parameters.empty(), "it read parameter '{}', which it did not before",
         found.parameters.empty() ? "" : tape.nodes_[found.parameters[0]].parameter->path());
  for (const std::uint32_t flat : found.inputs)  // node.inputs are in order
    demand(std::binary_search(node.inputs, node.inputs + node.input_count, flat),
           "it read a value of shape {}, which it did not before", tape.output(flat).shape);
  demand(found.results.size() == node.output_count, "{} results (and taps) instead of {}",
         found.results.size(), node.output_count);
  demand(found.room <= op.room, "{} values were recorded instead of {}", found.room, op.room);
  for (std::uint16_t k = 0; k < node.output_count; ++k) {
    const TensorView &now = found.values[k], &then = node.outputs[k];
    demand(now.shape == then.shape, "result {} is of shape {} instead of {}", k, now.shape, then.shape);
    demand(then.byte_count() == 0 || std::memcmp(now.bytes, then.bytes, then.byte_count()) == 0,
           "result {} has other values", k);
  }
  results.assign(found.results.begin(), found.results.end());
}

std::uint32_t Checkpoints::room(const Tape& tape, std::uint32_t last) {
  std::uint32_t most = 0;
  for (std::uint32_t i = 0; i <= last; ++i)
    if (const Node& n = tape.nodes_[i]; n.checkpoint)
      most = std::max(most, static_cast<const Recorded&>(*n.op).room);
  return most;
}

}  // namespace tapegrad
