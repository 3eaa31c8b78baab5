#include "gemm_backend.h"

#include "../workspace.h"

// TAPEGRAD_GEMM_BACKEND is the name of the choice and TAPEGRAD_GEMM_CALL its function, not defined for "own".

namespace tapegrad::kernels {

const char* gemm_backend() { return TAPEGRAD_GEMM_BACKEND; }

#ifdef TAPEGRAD_GEMM_CALL
namespace {

template <class T>
const Table<T>& own() {
  static const Table<T> table = *variant<T>(active_isa());
  return table;
}

/// The library's product, also from a copy of B the other way round where it takes no transposed B.
template <class T>
bool call_library(GemmCall<T> call) {
  if (call.m <= 0 || call.n <= 0 || call.k <= 0) return false;
  if (TAPEGRAD_GEMM_CALL(call)) return true;
  if (!call.trans_b) return false;
  const auto bytes = static_cast<std::size_t>(call.n * call.k) * sizeof(T);
  T* straight = static_cast<T*>(workspace(Scratch::gemm_b, bytes));
  own<T>().transpose(call.b, call.n, call.k, call.ldb, straight, call.n);
  call.trans_b = false;
  call.b = straight;
  call.ldb = call.n;
  return TAPEGRAD_GEMM_CALL(call);
}

template <class T>
void library_gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
                  Index ldb, T* c, Index ldc, const T* bias, bool accumulate) {
  if (!call_library<T>({trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, accumulate}))
    return own<T>().gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate);
  if (bias)
    for (Index i = 0; i < m; ++i) own<T>().add_into(c + i * ldc, bias, n);
}

template <class T>
void library_gemm_relu(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda,
                       const T* b, Index ldb, T* c, Index ldc, const T* bias) {
  if (!call_library<T>({trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, false}))
    return own<T>().gemm_relu(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias);
  for (Index i = 0; i < m; ++i) {
    T* row = c + i * ldc;
    if (bias) own<T>().add_into(row, bias, n);
    own<T>().relu(row, row, n);
  }
}

}  // namespace

template <class T>
void use_gemm_backend(Table<T>& table) {
  table.gemm = &library_gemm<T>;
  table.gemm_relu = &library_gemm_relu<T>;
}
#else
template <class T>
void use_gemm_backend(Table<T>&) {}
#endif

template void use_gemm_backend(Table<float>&);
template void use_gemm_backend(Table<double>&);

}  // namespace tapegrad::kernels
