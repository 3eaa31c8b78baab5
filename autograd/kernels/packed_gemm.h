/// Internal: gemm for other kernels of the same instruction set, with the right operand packed once and used
/// often.
#pragma once

#include <tapegrad/autograd/kernels/isa.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// As kernels::gemm.
template <class T>
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b, Index ldb,
          T* c, Index ldc, const T* bias, bool accumulate);

/// Values that `pack_b` writes for op(B) [k, n].
template <class T>
Index packed_size(Index k, Index n);

/// Copies op(B) [k, n] into panels of columns: block of rows by block of rows, in each panel by panel, in
/// each row by row, the last panel padded with zeros.
template <class T>
void pack_b(bool trans_b, Index k, Index n, const T* b, Index ldb, T* packed);

/// C = op(A) op(B) for the first k rows and n columns of a B packed as [packed_k, packed_n]; bits as
/// kernels::gemm.
template <class T>
void gemm_packed(bool trans_a, Index m, Index n, Index k, const T* a, Index lda, const T* packed,
                 Index packed_k, Index packed_n, T* c, Index ldc, bool accumulate);

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
