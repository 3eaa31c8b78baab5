#include "linear.h"

#include "../kernels/elementwise.h"
#include "../kernels/gemm/gemm.h"
#include "arithmetic.h"
#include "matmul.h"
#include "slice.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct Linear final : Typed<Linear, Fused> {
  struct Rows {
    Index begin, count;
    Rows(const RowView& r) : begin(r.begin()), count(r.count()) {}
    bool whole(const Shape& of) const { return begin == 0 && count == of[0]; }
  } weight, bias;  // of inputs 1 and 2
  bool whole;      // the weight's rows are all
  Linear(const RowView& w, const RowView& b)
      : weight(w),
        bias(b ? b : w),
        whole(!w || w.operand().shape().rank() == 0 || weight.whole(w.operand().shape())) {}
  const char* name() const override { return "linear"; }
  Formula formula() const override { return "y = x W^T + b;  dx = dy W, dW = dy^T x, db = sum of dy's rows"; }
  /// The rows, where they are a part; those of the bias, where they are not the weight's.
  void attributes(Attributes& a) const override {
    if (!whole) put(a, "first", weight.begin), put(a, "rows", weight.count);
    if (bias.begin != weight.begin) put(a, "bias_first", bias.begin);
  }

  Shape shape(Views in, int) const override {
    return linear_shape(name(), in, weight.count, in.size() > 2 ? bias.count : 0);
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Index width = in.shape(1)[1];
    const T* b = in.views.size() > 2 ? in[2] + bias.begin : nullptr;
    kernels::gemm(false, true, in.shape().rows(), weight.count, width, in[0], width,
                  in[1] + weight.begin * width, width, out[0], weight.count, b);
  }

  double flops(Views in, Views out) const override {
    return 2 * static_cast<double>(out[0].size()) * static_cast<double>(in[1].shape[1]);
  }
  Range writable_range(std::size_t input, Views in, Views) const override {
    const Index width = in[1].shape[1];
    if (input == 0) return everything;
    const Rows& read = input == 1 ? weight : bias;
    const Index each = input == 1 ? width : 1;
    return read.whole(in[input].shape) ? everything
                                       : Range{read.begin * each, (read.begin + read.count) * each};
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Index m = g.x_shape().rows(), width = g.x_shape(1)[1], n = weight.count;
    const T *x = g.x(), *w = g.x(1) + weight.begin * width, *dy = g.dy(), *no_bias = nullptr;
    if (T* dx = g.dx())
      kernels::gemm(false, false, m, width, n, dy, n, w, width, dx, width, no_bias, !g.uninitialized());
    if (T* dw = g.dx(1))
      kernels::gemm(true, false, n, width, m, dy, n, x, width, dw + weight.begin * width, width, no_bias,
                    !g.uninitialized(1));
    if (T* db = g.args.dinputs.size() > 2 ? g.dx(2) : nullptr)
      kernels::sum_rows(dy, m, n, n, db + bias.begin, !g.uninitialized(2));
  }

  VarList define(std::span<const Var> in) const override {
    const Var y = matmul(in[0], slice(in[1], 0, weight.begin, weight.count), {.transpose_b = true});
    return {in.size() > 2 ? y + slice(in[2], 0, bias.begin, bias.count) : y};
  }
};

}  // namespace

Shape linear_shape(const char* op, Views in, Index rows, Index bias_rows) {
  const Shape &x = in[0].shape, &w = in[1].shape;
  expects(w.rank() == 2, "{}: weight must be [out, in], got {}", op, w);
  expects(x.rank() > 0 && x[-1] == w[1],
          "{}: x {} and weight {} do not fit: weight is [out, in], so x's last axis must be {}", op, x, w,
          w[1]);
  expects(in.size() == 2 || (in[2].shape.rank() == 1 && bias_rows == rows),
          "{}: bias {} and weight {} do not fit: weight is [out, in], so bias must be [{}]", op,
          in.back().shape, w, rows);
  return x.with_tail(1, {rows});
}

RowView::RowView(const Var& whole) : var_(whole) {
  if (!whole) return;
  whole.tape("linear");
  count_ = whole.rank() > 0 ? whole.shape()[0] : 0;
}

RowView::RowView(const Parameter& whole) : parameter_(whole ? &whole : nullptr) {
  if (whole && whole.shape().rank() > 0) count_ = whole.shape()[0];
}

RowView::RowView(const Var& x, Index first, Index number) : var_(x), begin_(first), count_(number) {
  if (!x) return;
  x.tape("linear");
  check();
}

RowView::RowView(const Parameter& p, Index first, Index number)
    : parameter_(p ? &p : nullptr), begin_(first), count_(number) {
  if (p) check();
}

void RowView::check() const {
  const Shape& shape = operand().shape();
  expects(shape.rank() > 0, "rows: a value of shape {} has no rows", shape);
  expects(count_ >= 0 && begin_ >= 0 && begin_ <= shape[0] && count_ <= shape[0] - begin_,
          "rows: {} rows from row {} on are out of range for {}, which has {}", count_, begin_, shape,
          shape[0]);
}

RowView RowView::up_to(const RowView& other) const {
  RowView joined = *this;
  joined.count_ = other.begin_ + other.count_ - begin_;
  return joined;
}

bool RowView::precedes(const RowView& other) const {
  return parameter_ == other.parameter_ && same_value(var_, other.var_) && begin_ + count_ == other.begin_;
}

Var linear(const Var& x, const RowView& weight, const RowView& bias) {
  const Linear op(weight, bias);
  return bias ? apply(op, {x, weight.operand(), bias.operand()}) : apply(op, {x, weight.operand()});
}

}  // namespace tapegrad
