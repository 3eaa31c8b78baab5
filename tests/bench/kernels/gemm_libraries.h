/// Other libraries' matrix products: those that CMake found, each on one thread, as TAPEGRAD_GEMM takes them.
#pragma once
#include <vector>

#include <tapegrad/autograd/kernels/gemm/gemm_backend.h>

namespace tapegrad::bench {

struct GemmLibrary {
  const char* name;
  bool (*multiply)(const kernels::GemmCall<float>&);  ///< false: not in this form
};

std::vector<GemmLibrary> gemm_libraries();

}  // namespace tapegrad::bench
