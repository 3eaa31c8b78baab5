#include "tests/bench/step/multiply_add.h"

#include <tapegrad/autograd/kernels/gemm/gemm_micro.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
double multiply_add_loop(Index rounds) {
  constexpr int chains = 2 * kMaxRows;
  Vector<T> acc[chains];
  const Vector<T> factor = splat<T>(static_cast<T>(0.5)), term = splat<T>(1);
  _Pragma("GCC unroll 28") for (int i = 0; i < chains; ++i) acc[i] = splat<T>(static_cast<T>(i));
  for (Index r = 0; r < rounds; ++r) {
    _Pragma("GCC unroll 28") for (int i = 0; i < chains; ++i) acc[i] = fma(acc[i], factor, term);
  }
  Vector<T> sum{};
  _Pragma("GCC unroll 28") for (int i = 0; i < chains; ++i) sum += acc[i];
  return 2.0 * chains * kWidth<T> * static_cast<double>(rounds) + 0 * static_cast<double>(sum[0]);
}

TAPEGRAD_INSTANTIATE(multiply_add_loop)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
