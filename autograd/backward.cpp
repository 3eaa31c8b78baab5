// The reverse loop. Nodes stand in the order they ran, so walking back is a reverse topological order: no
// recursion over the graph, no visited set, and every node's cotangent is complete when its turn comes.
#include <cstring>
#include <optional>

#include <tapegrad/autograd/checkpoint.h>
#include <tapegrad/autograd/cotangents.h>
#include <tapegrad/autograd/kernels/elementwise.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/tape.h>
#include <tapegrad/autograd/temporarily.h>

namespace tapegrad {

class BackwardPass {
 public:
  BackwardPass(Tape& tape, const Var& loss, const BackwardOptions& options)
      : tape_(tape),
        loss_(loss),
        options_(options),
        leaf_arena_(options.leaf_gradients != nullptr ? *options.leaf_gradients : tape.gradient_arena_) {}

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
      for (std::uint32_t i = loss_.stamp().node + 1; i-- > 0;)
        if (node(i).parameter != nullptr) parameter_nodes_.push_back(i);
    } else {
      const std::uint32_t room = tape_.checkpoint_room_;
      const auto places = room > 0 ? static_cast<std::uint32_t>(tape_.flat_.size()) + room : count_;
      cotangents_.emplace(tape_.gradient_arena_, leaf_arena_, places, options_.consume || room > 0);
      seed_buffer();
      for (std::uint32_t i = loss_.stamp().node + 1; i-- > 0;) step(i);
      cotangents_->complete_all();
      result.by_output_ = cotangents_->buffers();
      result.leaves_only_ = options_.consume;
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
  bool needs(std::uint32_t flat) const { return tape_.flat_[flat].needs_grad; }
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
    expects(options_.leaf_gradients == nullptr || !options_.create_graph,
            "backward: .leaf_gradients and .create_graph exclude each other");
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
    for (std::uint16_t i = 0; i < n.input_count; ++i)
      if (tape_.flat_[n.inputs[i]].of_parameter) check_version(n, node(owner(n.inputs[i])));
  }
  void check_version(const Node& n, const Node& from) const {
    if (!from.outdated()) return;
    try {
      tape_.throw_version(n.op->name(), from);
    } catch (Error& error) {
      error.add_path(*n.path);
      throw;
    }
  }

  // First-order passes: cotangents are buffers in the gradient arena. With `.consume` a result's cotangent
  // dies when its node was walked, and its memory serves again.

  bool is_leaf(std::uint32_t flat) const { return tape_.flat_[flat].leaf; }

  void seed_buffer() {
    const std::uint32_t flat = tape_.flat_number(loss_);
    TensorView seed = tape_.output(flat);
    seed.bytes = cotangents_->sum(flat, seed, is_leaf(flat));
    if (options_.cotangent)
      std::memcpy(seed.bytes, options_.cotangent.view().bytes, seed.byte_count());
    else
      dispatch(seed.dtype, [&](auto zero) { seed.data<decltype(zero)>()[0] = 1; });
  }

  CotangentView cotangent(std::uint32_t flat) const {
    const TensorView& value = tape_.output(flat);
    return {(*cotangents_)[flat], value.shape, value.dtype};
  }

  void step(std::uint32_t i) {
    const Node& n = node(i);
    if (n.op == nullptr || !n.needs_grad) {
      if (n.parameter != nullptr) parameter_nodes_.push_back(i);
      return;
    }
    bool reached = false;
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      if ((*cotangents_)[n.first_output + k] == nullptr) continue;
      cotangents_->complete(n.first_output + k);
      reached = true;
    }
    if (!reached) return;
    check_versions(n);
    if (n.checkpoint) [[unlikely]]
      recompute(n);
    else if (n.has_backward)
      raw_backward(n);
    else
      transient_pullback(n);
    if (!options_.consume) return;
    for (std::uint16_t k = 0; k < n.output_count; ++k) cotangents_->release(n.first_output + k, n.outputs[k]);
  }

  /// Whether input i is no other input too: only then it may be written before the others are added.
  static bool alone(const Node& n, std::uint16_t i) {
    for (std::uint16_t k = 0; k < n.input_count; ++k)
      if (k != i && n.inputs[k] == n.inputs[i]) return false;
    return true;
  }

  void raw_backward(const Node& n) {
    const std::size_t count = n.input_count, outputs = n.output_count;
    CallBuffer<const TensorView*> views(count + outputs);
    CallBuffer<CotangentView> cotangents(count + outputs);
    for (std::size_t i = 0; i < count; ++i) views.put(i, tape_.flat_[n.inputs[i]].view);
    for (std::size_t k = 0; k < outputs; ++k) {
      views.put(count + k, n.outputs + k);
      cotangents.put(count + k, {(*cotangents_)[n.first_output + static_cast<std::uint32_t>(k)],
                                 n.outputs[k].shape, n.outputs[k].dtype});
    }
    const Views in(views.data(), count), out(views.data() + count, outputs);
    FreshInputs fresh;
    bool work = false, hand_over = options_.consume && n.passes_on;
    for (std::uint16_t i = 0; i < n.input_count; ++i) {
      const std::uint32_t flat = n.inputs[i];
      const Tape::FlatOutput& from = tape_.flat_[flat];
      void* sum = nullptr;
      if (from.needs_grad) {
        const bool first = i < FreshInputs::most && !cotangents_->full(flat) && alone(n, i);
        const bool apart = from.leaf && options_.leaf_gradients != nullptr;
        if (hand_over && first && !apart && (*cotangents_)[flat] == nullptr && n.op->passes_on(i, in, out)) {
          cotangents_->hand_over(n.first_output, flat);  // which doutputs[0] shows all the same
          hand_over = false;
        } else {
          bool is_fresh = false;
          sum = cotangents_->write(flat, *from.view, from.leaf,
                                   first && n.overwrites ? n.op->overwrites(i, in, out) : nothing, is_fresh);
          if (is_fresh) fresh.add(i);
          work = true;
        }
      }
      cotangents.put(i, {sum, from.view->shape, from.view->dtype});
    }
    if (work)
      n.op->backward({in, out, {cotangents.data(), count}, {cotangents.data() + count, outputs}, fresh});
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
        const std::uint32_t flat = n.inputs[i];
        if (!results[i] || !needs(flat)) continue;
        const TensorView& part = tape_.output(tape_.flat_number(results[i]));
        bool fresh = false;
        void* sum = cotangents_->write(flat, part, is_leaf(flat), everything, fresh);
        if (fresh)
          std::memcpy(sum, part.bytes, part.byte_count());
        else
          dispatch(part.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::add_into(static_cast<T*>(sum), part.data<T>(), part.size());
          });
      }
    } catch (...) {
      tape_.rewind(mark);
      throw;
    }
    mark.gradients = tape_.gradient_arena_.used();  // the sums stay
    tape_.rewind(mark);
  }

  void run_again(const Node& n, ScratchVector<std::uint32_t>& results) {
    try {
      Recomputation::run_again(tape_, n, results);
    } catch (Error& error) {
      error.add_path(*n.path);
      throw;
    }
  }

  /// A checkpoint's function, recorded at the end of the tape, walked back in the place of its node, and
  /// dropped again. Its results' cotangents go there and, with what was added inside, come back.
  void recompute(const Node& n) {
    Tape::Mark mark = tape_.mark();
    try {
      ScratchVector<std::uint32_t> results;
      run_again(n, results);
      for (std::uint16_t k = 0; k < n.output_count; ++k)
        cotangents_->hand_over(n.first_output + k, results[k]);
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
      if (n.checkpoint) {
        recompute(n, cotangents);
      } else if (n.op->is_primitive()) {
        const VarList results = pullback(n, cotangents);
        for (std::uint16_t k = 0; k < n.input_count; ++k)
          if (results[k] && needs(n.inputs[k])) accumulate(n.inputs[k], results[k]);
      } else {
        expand(n, cotangents);
      }
    }
  }

  /// The same for a pass that can be differentiated again: what was recorded stays.
  void recompute(const Node& n, const VarList& cotangents) {
    const auto begin = static_cast<std::uint32_t>(tape_.nodes_.size());
    ScratchVector<std::uint32_t> results;
    run_again(n, results);
    for (std::uint16_t k = 0; k < n.output_count; ++k)
      if (cotangents[k]) accumulate(results[k], cotangents[k]);
    walk(begin, static_cast<std::uint32_t>(tape_.nodes_.size()));
    for (std::uint16_t k = 0; k < n.output_count; ++k)
      if (results[k] < vars_->size()) (*vars_)[n.first_output + k] = Var((*vars_)[results[k]]);
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

  /// Every parameter that was reached, as `parameter_nodes_` names them from the last to the first.
  std::span<const Gradients::Entry> parameters() const {
    auto* entries = tape_.gradient_arena_.array<Gradients::Entry>(parameter_nodes_.size());
    std::size_t count = 0;
    for (std::size_t at = parameter_nodes_.size(); at-- > 0;) {
      const Node& n = node(parameter_nodes_[at]);
      TensorView found = gradient(n.first_output);
      if (!found) continue;
      if (n.parameter->dtype() != found.dtype) {
        TensorView own{nullptr, found.shape, n.parameter->dtype()};
        own.bytes = leaf_arena_.allocate(own.byte_count());
        convert(found, own);
        found = own;
      }
      new (entries + count++) Gradients::Entry{n.parameter, found};
    }
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
  Arena& leaf_arena_;
  std::uint32_t count_ = 0;
  std::optional<Cotangents> cotangents_;
  ScratchVector<std::uint32_t> parameter_nodes_;  // from the last to the first
  std::shared_ptr<std::vector<Var>> vars_;
};

Gradients Tape::backward(const Var& loss, const BackwardOptions& options) {
  return BackwardPass(*this, loss, options).run();
}

}  // namespace tapegrad
