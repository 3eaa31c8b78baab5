#include "cross_entropy.h"

#include <algorithm>
#include <string>

#include "../kernels/cross_entropy.h"
#include "arithmetic.h"
#include "compare.h"
#include "detach.h"
#include "elementwise.h"
#include "index.h"
#include "reduce.h"
#include "reshape.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct CrossEntropy final : Typed<CrossEntropy, Fused> {
  TensorView targets;
  CrossEntropyOptions options;
  Index counted;  // targets that are not ignored
  CrossEntropy(const TensorView& t, const CrossEntropyOptions& o, Index n)
      : targets(t), options(o), counted(n) {}

  const char* name() const override { return "cross_entropy"; }
  Formula formula() const override {
    return "loss = -(1 - eps) log p[target] - eps mean(log p), p = softmax(x);  dx = dloss (p - (1 - eps) "
           "onehot(target) - eps / vocab)";
  }
  void attributes(Attributes& a) const override {
    static constexpr const char* reductions[] = {"mean", "sum", "none"};
    put(a, "ignore_index", options.ignore_index), put(a, "label_smoothing", options.label_smoothing);
    put(a, "reduction", std::string(reductions[static_cast<int>(options.reduction)]));
  }
  int saved() const override { return 1; }  // log(sum(exp(logits))) of each row
  Shape shape(Views in, int output) const override {
    if (output == 1) return {targets.size()};
    return options.reduction == Reduction::none ? in[0].shape.without(-1) : Shape{};
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    T* losses = out[0];
    const bool each = options.reduction == Reduction::none;
    const double sum = kernels::cross_entropy_forward<T>(
        in[0], targets.data<Index>(), targets.size(), in.shape().cols(), options.ignore_index,
        options.label_smoothing, each ? losses : nullptr, out[1]);
    if (!each) losses[0] = static_cast<T>(counted > 0 ? sum * factor() : 0);
  }

  Range writable_range(std::size_t, Views, Views) const override {
    return counted > 0 ? everything : nothing;
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const bool each = options.reduction == Reduction::none;
    if (counted == 0 || (each && g.args.doutputs[0].size() == 0)) return;
    const T* incoming = g.dy();
    const T scaled = each ? T(0) : static_cast<T>(incoming[0] * factor());
    kernels::cross_entropy_backward<T>(g.x(), targets.data<Index>(), g.y(1), each ? incoming : &scaled, each,
                                       g.dx(), targets.size(), g.x_shape().cols(), options.ignore_index,
                                       options.label_smoothing, !g.uninitialized());
  }

  VarList define(std::span<const Var> in) const override {
    const Index vocab = in[0].shape().cols();
    if (targets.size() == 0) {
      const Var nothing = sum(in[0], -1);
      return {options.reduction == Reduction::none ? nothing : sum(nothing)};
    }
    const Var x = reshape(in[0], {targets.size(), vocab});
    Tensor classes({targets.size(), 1}, DType::i64), ignored({targets.size(), 1}, DType::boolean);
    for (Index i = 0; i < targets.size(); ++i) {
      const Index target = targets.data<Index>()[i];
      ignored.data<std::uint8_t>()[i] = target == options.ignore_index;
      classes.data<Index>()[i] = target == options.ignore_index ? 0 : target;
    }
    const Var shifted = x - detach(max(x, {.axis = -1, .keepdim = true}));
    const Var log_p = shifted - log(sum(exp(shifted), {.axis = -1, .keepdim = true}));  // [rows, vocab]
    const double eps = options.label_smoothing;
    Var losses = affine(gather(log_p, -1, classes), eps - 1);  // [rows, 1]
    if (eps > 0) losses = losses - affine(mean(log_p, {.axis = -1, .keepdim = true}), eps);
    losses = masked_fill(losses, ignored, 0);
    if (options.reduction == Reduction::none) return {reshape(losses, targets.shape)};
    return {affine(sum(losses), counted > 0 ? factor() : 0)};
  }

 private:
  double factor() const {
    return options.reduction == Reduction::mean ? 1.0 / static_cast<double>(counted) : 1;
  }
};

/// Throws on whatever does not fit; the number of targets that count.
Index check(const Var& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  const Shape& x = logits.shape();
  expects(static_cast<bool>(targets) && targets.dtype() == DType::i64,
          "cross_entropy: targets must be i64 class numbers, got {} {}", dtype_name(targets.dtype()),
          targets.shape());
  expects(x.rank() >= 1 && targets.shape() == x.without(-1),
          "cross_entropy: targets of shape {} do not fit logits {}; logits are "
          "[.., vocab] and targets [..]",
          targets.shape(), x);
  expects(options.label_smoothing >= 0 && options.label_smoothing <= 1,
          "cross_entropy: label_smoothing must be in [0, 1], got {}", options.label_smoothing);
  const auto* target = targets.data<Index>();
  Index counted = 0;
  for (Index i = 0; i < targets.size(); ++i) {
    if (target[i] == options.ignore_index) continue;
    ++counted;
    expects(target[i] >= 0 && target[i] < x.cols(),
            "cross_entropy: target {} at position {} of {} is out of range; it must be in "
            "[0, {}) or be ignore_index = {}",
            target[i], i, targets.shape(), x.cols(), options.ignore_index);
  }
  return counted;
}

}  // namespace

Var cross_entropy(const Var& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  Tape& tape = logits.tape("cross_entropy");
  const Index counted = check(logits, targets, options);
  return tape.with_rollback([&] {
    return apply(CrossEntropy{tape.copy_to_arena(targets), options, counted}, {logits});
  });
}

Index count_targets(const Tensor& targets, Index ignore_index) {
  expects(static_cast<bool>(targets) && targets.dtype() == DType::i64,
          "count_targets: targets must be i64 class numbers, got {} {}", dtype_name(targets.dtype()),
          targets.shape());
  const auto* target = targets.data<Index>();
  return targets.size() - std::count(target, target + targets.size(), ignore_index);
}

}  // namespace tapegrad
