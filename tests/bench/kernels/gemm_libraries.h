/// Other libraries' matrix products behind one signature: those that CMake found, each on one thread.
#pragma once
#include <cstdint>
#include <vector>

namespace tapegrad::bench {

/// C = op(A) op(B), row-major and contiguous; op(A) [m, k], op(B) [k, n].
struct Product {
  bool trans_a = false, trans_b = false;
  std::int64_t m = 0, n = 0, k = 0;
  const float *a = nullptr, *b = nullptr;
  float* c = nullptr;

  std::int64_t lda() const { return trans_a ? m : k; }
  std::int64_t ldb() const { return trans_b ? k : n; }
};

struct GemmLibrary {
  const char* name;
  bool (*multiply)(const Product&);  ///< false: not in this form
};

bool multiply_eigen(const Product&);     // Eigen, compiled for this processor
bool multiply_openblas(const Product&);  // where found
bool multiply_onednn(const Product&);
bool multiply_libxsmm(const Product&);

std::vector<GemmLibrary> gemm_libraries();

}  // namespace tapegrad::bench
