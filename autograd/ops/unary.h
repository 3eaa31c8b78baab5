#pragma once
#include "../op.h"

namespace tapegrad {

/// What the ops share that map every element by itself: `struct Sin final : Unary<Primitive>`, or
/// Unary<Fused>. The functions given to these helpers must compute an element's bits from that element alone,
/// so never with Eigen's packets.
template <class Kind>
class Unary : public Kind {
 public:
  Shape shape(Views in, int) const final { return in[0].shape; }
  Range overwrites(std::size_t, Views, Views) const final { return everything; }

 protected:
  ~Unary() = default;

  /// y[i] = f(x[i]).
  template <class F>
  static void map(Views in, Views out, F f) {
    run(in, out, [f](const auto* x, auto* y, Index n) {
      for (Index i = 0; i < n; ++i) y[i] = f(x[i]);
    });
  }
  /// kernel(x, y, n).
  template <class Kernel>
  static void run(Views in, Views out, Kernel kernel) {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      kernel(static_cast<const T*>(in[0].data<T>()), out[0].data<T>(), out[0].size());
    });
  }
  /// dx[i] += f(x[i], y[i], dy[i]), or = where dx is fresh.
  template <class F>
  static void accumulate(const BackwardArgs& args, F f) {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T *x = args.inputs[0].data<T>(), *y = args.outputs[0].data<T>(), *dy = args.doutputs[0].data<T>();
      T* dx = args.dinputs[0].data<T>();
      const Index n = args.outputs[0].size();
      if (args.fresh[0])
        for (Index i = 0; i < n; ++i) dx[i] = T(0) + f(x[i], y[i], dy[i]);
      else
        for (Index i = 0; i < n; ++i) dx[i] += f(x[i], y[i], dy[i]);
    });
  }
  /// kernel(x, dy, dx, n, accumulate), which adds to dx or writes it.
  template <class Kernel>
  static void run_backward(const BackwardArgs& args, Kernel kernel) {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      kernel(static_cast<const T*>(args.inputs[0].data<T>()),
             static_cast<const T*>(args.doutputs[0].data<T>()), args.dinputs[0].data<T>(),
             args.outputs[0].size(), !args.fresh[0]);
    });
  }
};

}  // namespace tapegrad
