#include "adam.h"
#include "simd/rows.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

/// Division by one number, with the bits of x / by unless something underflows: a product with the inverse,
/// corrected twice by its exact remainder (Markstein, 1990). Much faster than divisions.
template <class T>
struct Divisor {
  T by, inverse;
  TAPEGRAD_INLINE explicit Divisor(T divisor) : by(divisor), inverse(1 / divisor) {}
  TAPEGRAD_INLINE Vector<T> operator()(Vector<T> x) const {
#if defined(__FMA__)
    const Vector<T> near = x * inverse;
    const Vector<T> nearer = fma(fma(near, splat(-by), x), splat(inverse), near);
    const Vector<T> exact = fma(fma(nearer, splat(-by), x), splat(inverse), nearer);
    return x < kInfinity<T> ? exact : x;  // infinity has no remainder
#else
    return x / by;
#endif
  }
};

}  // namespace

template <class T>
void adam(T* param, const T* grad, T* m, T* v, Index n, const AdamArgs& args) {
  const T grad_scale = static_cast<T>(args.grad_scale);
  const T coupled = static_cast<T>(args.decoupled ? 0 : args.weight_decay);
  const T shrink = static_cast<T>(args.decoupled ? 1 - args.learning_rate * args.weight_decay : 1);
  const T take1 = static_cast<T>(1 - args.beta1);
  const T beta2 = static_cast<T>(args.beta2);
  const T take2 = static_cast<T>(1 - args.beta2);
  const Divisor<T> over_root(static_cast<T>(__builtin_sqrt(args.bias_correction2)));
  const T eps = static_cast<T>(args.eps);
  const T step = static_cast<T>(-args.learning_rate / args.bias_correction1);
  for_each_vector<T>(
      n, [&](auto mask, Index i) __attribute__((always_inline)) {
        Vector<T> p = mask.load(param + i) * shrink;
        const Vector<T> g = fma(p, splat(coupled), mask.load(grad + i) * grad_scale);
        const Vector<T> old_m = mask.load(m + i);
        const Vector<T> new_m = fma(g - old_m, splat(take1), old_m);
        const Vector<T> new_v = fma(g * g, splat(take2), mask.load(v + i) * beta2);
        p = fma(new_m / (over_root(sqrt(new_v)) + eps), splat(step), p);
        mask.store(m + i, new_m);
        mask.store(v + i, new_v);
        mask.store(param + i, p);
      });
}

TAPEGRAD_INSTANTIATE(adam)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
