// The reverse loop. Nodes stand in the order they ran, so walking back is a reverse topological order: no
// recursion over the graph, no visited set, and every node's cotangent is complete when its turn comes.
#include <cstring>

#include <tapegrad/autograd/kernels/elementwise.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/tape.h>

namespace tapegrad {
namespace {

/// Sets a value for the length of a scope.
template <class T>
class Temporarily {
 public:
  Temporarily(T& place, T value) : place_(place), before_(place) { place_ = value; }
  ~Temporarily() { place_ = before_; }
  Temporarily(const Temporarily&) = delete;
  Temporarily& operator=(const Temporarily&) = delete;

 private:
  T& place_;
  T before_;
};

}  // namespace

class BackwardPass {
 public:
  BackwardPass(Tape& tape, const Var& loss, const BackwardOptions& options)
      : tape_(tape), loss_(loss), options_(options) {}

  Gradients run() {
    check();
    const Tape::Mark before = tape_.mark();
    try {
      return walk_back();
    } catch (...) {
      tape_.rewind(before);
      throw;
    }
  }

 private:
  Gradients walk_back() {
    const Node& last = node(loss_.stamp().node);
    count_ = last.first_output + last.output_count;
    Gradients result;
    if (options_.create_graph) {
      vars_ = std::make_shared<std::vector<Var>>(count_);
      seed_var();
      walk(0, loss_.stamp().node + 1);
      vars_->resize(count_);
      result.vars_ = vars_;
    } else {
      buffers_ = tape_.gradient_arena_.array<void*>(count_);
      std::memset(buffers_, 0, count_ * sizeof(void*));
      seed_buffer();
      for (std::uint32_t i = loss_.stamp().node + 1; i-- > 0;) step(i);
      result.by_output_ = buffers_;
    }
    result.output_count_ = count_;
    result.entries_ = parameters();
    result.stamp_ = {tape_.slot_, tape_.slot_->next_serial++, Stamp::pass};
    tape_.live_passes_.push_back(result.stamp_.serial);
    if (options_.consume) tape_.consumed_loss_ = loss_.stamp().serial;
    return result;
  }

  const Node& node(std::uint32_t i) const { return tape_.nodes_[i]; }
  std::uint32_t owner(std::uint32_t flat) const { return tape_.flat_[flat].node; }
  bool needs(std::uint32_t flat) const { return node(owner(flat)).needs_grad; }
  Var var(std::uint32_t flat) const {
    const std::uint32_t i = owner(flat);
    return {{tape_.slot_, node(i).serial, i}, flat - node(i).first_output};
  }

  void check() const {
    tape_.check_not_consumed("backward", {});
    const Tape& recorded_on = loss_.tape("backward");  // throws when the handle is empty or stale
    expects(&recorded_on == &tape_, "backward: the loss of shape {} was recorded on another tape",
            loss_.shape());
    expects(tape_.options().record, "backward: this tape does not record (.record = false)");
    expects(!(options_.consume && options_.create_graph),
            "backward: .consume and .create_graph exclude each other");
    if (options_.cotangent)
      expects(options_.cotangent.shape() == loss_.shape() && options_.cotangent.dtype() == tape_.dtype(),
              "backward: the cotangent is {} {}, the loss {} {}", dtype_name(options_.cotangent.dtype()),
              options_.cotangent.shape(), dtype_name(tape_.dtype()), loss_.shape());
    else
      expects(
          loss_.size() == 1,
          "backward: the loss must have one element, got shape {}; reduce it with sum() or give a cotangent",
          loss_.shape());
    expects(loss_.needs_grad(), "backward: the loss depends on no variable and no trainable parameter");
  }

  /// A gradient computed from values that have changed since would be silently wrong.
  void check_versions(const Node& n) const {
    for (std::uint16_t i = 0; i < n.input_count; ++i) {
      try {
        tape_.check_version(n.op->name(), node(owner(n.inputs[i])));
      } catch (Error& error) {
        error.add_path(*n.path);
        throw;
      }
    }
  }

  // First-order passes: cotangents are buffers in the gradient arena.

  void seed_buffer() {
    const std::uint32_t flat = tape_.flat_number(loss_);
    const TensorView seed = accumulator(flat);
    if (options_.cotangent)
      std::memcpy(seed.bytes, options_.cotangent.view().bytes, seed.byte_count());
    else
      dispatch(seed.dtype, [&](auto zero) { seed.data<decltype(zero)>()[0] = 1; });
  }

  TensorView cotangent(std::uint32_t flat) const {
    TensorView view = tape_.output(flat);
    view.bytes = buffers_[flat];
    return view;
  }

  TensorView accumulator(std::uint32_t flat) {
    TensorView view = tape_.output(flat);
    if (buffers_[flat] == nullptr) {
      buffers_[flat] = tape_.gradient_arena_.allocate(view.byte_count());
      std::memset(buffers_[flat], 0, view.byte_count());
    }
    view.bytes = buffers_[flat];
    return view;
  }

  void step(std::uint32_t i) {
    const Node& n = node(i);
    if (n.op == nullptr || !n.needs_grad) return;
    bool reached = false;
    for (std::uint16_t k = 0; k < n.output_count; ++k) reached |= buffers_[n.first_output + k] != nullptr;
    if (!reached) return;
    check_versions(n);
    if (n.op->has_backward())
      raw_backward(n);
    else
      transient_pullback(n);
  }

  void raw_backward(const Node& n) {
    ViewBuffer inputs(n.input_count), dinputs(n.input_count), doutputs(n.output_count);
    for (std::uint16_t i = 0; i < n.input_count; ++i) {
      inputs.push_back(tape_.output(n.inputs[i]));
      dinputs.push_back(needs(n.inputs[i]) ? accumulator(n.inputs[i]) : TensorView{});
    }
    for (std::uint16_t k = 0; k < n.output_count; ++k) doutputs.push_back(cotangent(n.first_output + k));
    n.op->backward({inputs, {n.outputs, n.output_count}, dinputs, doutputs});
  }

  /// The pullback written in ops, run on the end of the tape without recording and dropped again.
  void transient_pullback(const Node& n) {
    Tape::Mark mark = tape_.mark();
    const Temporarily record(tape_.options_.record, false);
    try {
      VarList cotangents;
      for (std::uint16_t k = 0; k < n.output_count; ++k) {
        const TensorView view = cotangent(n.first_output + k);
        cotangents.push_back(view ? tape_.append_leaf(view, false) : Var());
      }
      const VarList results = pullback(n, cotangents);
      for (std::uint16_t i = 0; i < n.input_count; ++i) {
        if (!results[i] || !needs(n.inputs[i])) continue;
        const TensorView& part = tape_.output(tape_.flat_number(results[i]));
        const TensorView sum = accumulator(n.inputs[i]);
        dispatch(sum.dtype, [&](auto zero) {
          using T = decltype(zero);
          kernels::add_into(sum.data<T>(), part.data<T>(), sum.size());
        });
      }
    } catch (...) {
      tape_.rewind(mark);
      throw;
    }
    mark.gradients = tape_.gradient_arena_.used();  // the sums stay
    tape_.rewind(mark);
  }

  VarList pullback(const Node& n, const VarList& cotangents) const {
    VarList inputs, outputs;
    bool few[VarList::inline_capacity] = {};
    ScratchVector<char> more(n.input_count > VarList::inline_capacity ? n.input_count : 0);
    bool* wanted = more.empty() ? few : reinterpret_cast<bool*>(more.data());
    for (std::uint16_t i = 0; i < n.input_count; ++i) {
      inputs.push_back(var(n.inputs[i]));
      wanted[i] = needs(n.inputs[i]);
    }
    for (std::uint16_t k = 0; k < n.output_count; ++k) outputs.push_back(var(n.first_output + k));
    const VarList results = n.op->pullback({inputs, outputs, cotangents, {wanted, n.input_count}});
    expects(results.size() == n.input_count, "{}: its pullback returned {} gradients for {} inputs",
            n.op->name(), results.size(), n.input_count);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!results[i]) continue;  // nothing for this input
      expects(results[i].shape() == inputs[i].shape(),
              "{}: its pullback gave input {} of shape {} a gradient of shape {}", n.op->name(), i,
              inputs[i].shape(), results[i].shape());
    }
    return results;
  }

  // Passes that can be differentiated again: cotangents are recorded values; a fused node is expanded to its
  // definition first.

  void seed_var() {
    const Var seed = options_.cotangent ? tape_.constant(options_.cotangent) : tape_.full(loss_.shape(), 1);
    (*vars_)[tape_.flat_number(loss_)] = seed;
  }

  void accumulate(std::uint32_t flat, const Var& part) {
    if (flat >= vars_->size()) vars_->resize(tape_.flat_.size());
    Var& sum = (*vars_)[flat];
    const Var total = sum ? add(sum, part) : part;
    (*vars_)[flat] = total;
  }

  void walk(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t i = end; i-- > begin;) {
      const Node& n = node(i);
      if (n.op == nullptr || !n.needs_grad) continue;
      VarList cotangents;
      bool reached = false;
      for (std::uint16_t k = 0; k < n.output_count; ++k) {
        const std::uint32_t flat = n.first_output + k;
        cotangents.push_back(flat < vars_->size() ? (*vars_)[flat] : Var());
        reached |= static_cast<bool>(cotangents[k]);
      }
      if (!reached) continue;
      check_versions(n);
      if (n.op->is_primitive()) {
        const VarList results = pullback(n, cotangents);
        for (std::uint16_t k = 0; k < n.input_count; ++k)
          if (results[k] && needs(n.inputs[k])) accumulate(n.inputs[k], results[k]);
      } else {
        expand(n, cotangents);
      }
    }
  }

  void expand(const Node& n, const VarList& cotangents) {
    VarList inputs;
    for (std::uint16_t i = 0; i < n.input_count; ++i) inputs.push_back(var(n.inputs[i]));
    const auto begin = static_cast<std::uint32_t>(tape_.nodes_.size());
    const Temporarily fused(tape_.options_.fused, false);
    const VarList outputs = static_cast<const Fused*>(n.op)->define(inputs);
    for (std::size_t k = 0; k < outputs.size(); ++k)
      if (cotangents[k]) accumulate(tape_.flat_number(outputs[k]), cotangents[k]);
    walk(begin, static_cast<std::uint32_t>(tape_.nodes_.size()));
  }

  std::span<const Gradients::Entry> parameters() const {
    std::size_t count = 0;
    const auto each = [&](auto&& body) {
      for (std::uint32_t i = 0; i <= loss_.stamp().node; ++i)
        if (const Node& n = node(i); n.parameter != nullptr && gradient(n.first_output)) body(n);
    };
    each([&](const Node&) { ++count; });
    auto* entries = tape_.gradient_arena_.array<Gradients::Entry>(count);
    std::size_t at = 0;
    each([&](const Node& n) {
      const Parameter& p = tape_.lifted_.at(n.parameter).parameter;
      TensorView found = gradient(n.first_output);
      if (p.dtype() != found.dtype) {
        TensorView own{nullptr, found.shape, p.dtype()};
        own.bytes = tape_.gradient_arena_.allocate(own.byte_count());
        convert(found, own);
        found = own;
      }
      new (entries + at++) Gradients::Entry{&p, found};
    });
    return {entries, count};
  }

  TensorView gradient(std::uint32_t flat) const {
    if (!options_.create_graph) return cotangent(flat);
    const Var& v = (*vars_)[flat];
    return v ? tape_.output(tape_.flat_number(v)) : TensorView{};
  }

  Tape& tape_;
  const Var loss_;
  const BackwardOptions& options_;
  std::uint32_t count_ = 0;
  void** buffers_ = nullptr;
  std::shared_ptr<std::vector<Var>> vars_;
};

Gradients Tape::backward(const Var& loss, const BackwardOptions& options) {
  return BackwardPass(*this, loss, options).run();
}

}  // namespace tapegrad
