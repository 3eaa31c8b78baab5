#pragma once

namespace tapegrad::bench {

/// GFLOP/s that `threads` threads reach together with nothing but multiply-adds in registers, in the
/// instruction set that the kernels use: each thread's best of many short slices, added up. Takes about 60
/// ms.
double fma_peak_gflops(int threads);

}  // namespace tapegrad::bench
