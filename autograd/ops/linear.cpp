#include "linear.h"

#include "../kernels/elementwise.h"
#include "../kernels/gemm/gemm.h"
#include "arithmetic.h"
#include "matmul.h"
#include "slice.h"

namespace tapegrad {
namespace {

struct Linear final : Fused {
  static constexpr Index all = -1;

  Index begin, count;                // rows of the weight
  Index bias_begin;                  // of the bias's part
  bool whole_bias;                   // the bias has an element for each row of the weight
  const void* transposed = nullptr;  // Tape::transposed of the weight
  Linear(Index first, Index rows) : begin(first), count(rows), bias_begin(first), whole_bias(true) {}
  explicit Linear(Index bias_first) : begin(0), count(all), bias_begin(bias_first), whole_bias(false) {}
  const char* name() const override { return "linear"; }
  Formula formula() const override { return "y = x W^T + b;  dx = dy W, dW = dy^T x, db = sum of dy's rows"; }
  /// Of linear_rows and linear_bias_part alone; a whole linear has none.
  void attributes(Attributes& a) const override {
    if (count != all) put(a, "first", begin), put(a, "rows", count);
    if (!whole_bias) put(a, "bias_first", bias_begin);
  }

  Shape shape(Views in, int) const override {
    const Shape &x = in[0].shape, &w = in[1].shape;
    expects(w.rank() == 2, "linear: weight must be [out, in], got {}", w);
    expects(x.rank() > 0 && x[-1] == w[1],
            "linear: x {} and weight {} do not fit: weight is [out, in], so x's last axis must be {}", x, w,
            w[1]);
    expects(!whole_bias || in.size() == 2 || in[2].shape == Shape{w[0]},
            "linear: bias {} and weight {} do not fit: weight is [out, in], so bias must be [{}]",
            in.back().shape, w, w[0]);
    if (!whole_bias && in.size() > 2)
      expects(
          in[2].shape.rank() == 1 && bias_begin >= 0 && bias_begin <= in[2].shape[0] &&
              w[0] <= in[2].shape[0] - bias_begin,
          "linear_bias_part: bias {} has no {} elements from bias_begin {} on, one for each row of weight {}",
          in[2].shape, w[0], bias_begin, w);
    if (count != all)
      expects(begin >= 0 && count >= 0 && begin <= w[0] && count <= w[0] - begin,
              "linear_rows: row_begin {} and rows {} are out of range for weight {}, which has {} rows",
              begin, count, w, w[0]);
    return x.with_tail(1, {rows(w)});
  }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index width = in[1].shape[1], n = rows(in[1].shape);
      const T* bias = in.size() > 2 ? in[2].data<T>() + bias_begin : nullptr;
      if (transposed != nullptr)
        return kernels::gemm(false, false, in[0].shape.rows(), n, width, in[0].data<T>(), width,
                             static_cast<const T*>(transposed) + begin, in[1].shape[0], out[0].data<T>(), n,
                             bias);
      kernels::gemm(false, true, in[0].shape.rows(), n, width, in[0].data<T>(), width,
                    in[1].data<T>() + begin * width, width, out[0].data<T>(), n, bias);
    });
  }

  double flops(Views in, Views out) const override {
    return 2 * static_cast<double>(out[0].size()) * static_cast<double>(in[1].shape[1]);
  }
  Range overwrites(std::size_t input, Views in, Views) const override {
    const Index n = rows(in[1].shape), width = in[1].shape[1];
    if (input == 1 && count != all) return {begin * width, (begin + n) * width};
    if (input == 2 && (count != all || !whole_bias)) return {bias_begin, bias_begin + n};
    return everything;
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index m = args.inputs[0].shape.rows(), width = args.inputs[1].shape[1],
                  n = rows(args.inputs[1].shape);
      const T *x = args.inputs[0].data<T>(), *w = args.inputs[1].data<T>() + begin * width,
              *dy = args.doutputs[0].data<T>();
      const T* no_bias = nullptr;
      if (T* dx = args.dinputs[0].data<T>())
        kernels::gemm(false, false, m, width, n, dy, n, w, width, dx, width, no_bias, !args.fresh[0]);
      if (T* dw = args.dinputs[1].data<T>())
        kernels::gemm(true, false, n, width, m, dy, n, x, width, dw + begin * width, width, no_bias,
                      !args.fresh[1]);
      if (args.dinputs.size() > 2 && args.dinputs[2])
        kernels::sum_rows(dy, m, n, n, args.dinputs[2].data<T>() + bias_begin, !args.fresh[2]);
    });
  }

  VarList define(std::span<const Var> in) const override {
    const Index n = rows(in[1].shape());
    const Var y = matmul(in[0], slice(in[1], 0, begin, n), {.transpose_b = true});
    return {in.size() > 2 ? y + slice(in[2], 0, bias_begin, n) : y};
  }

 private:
  Index rows(const Shape& weight) const { return count == all ? weight[0] : count; }
};

Var apply_linear(Linear op, const Var& x, const Var& weight, const Var& bias) {
  return bias ? apply(op, {x, weight, bias}) : apply(op, {x, weight});
}

}  // namespace

Var linear(const Var& x, const Var& weight, const Var& bias) {
  return apply_linear(Linear{0, Linear::all}, x, weight, bias);
}

Var linear_rows(const Var& x, const Var& weight, const Var& bias, Index row_begin, Index rows) {
  expects(rows >= 0, "linear_rows: {} rows; the number of rows must not be negative", rows);
  return apply_linear(Linear{row_begin, rows}, x, weight, bias);
}

Var linear_bias_part(const Var& x, const Var& weight, const Var& bias, Index bias_begin) {
  return apply_linear(Linear{bias_begin}, x, weight, bias);
}

}  // namespace tapegrad
