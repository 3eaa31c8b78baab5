/// Internal: gemm for other kernels of this instruction set, with a right operand that is packed once and
/// used often.
#pragma once

#include "gemm.h"
#include "gemm_micro.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// The inner product for a tile: `columns` at most kPanel<T>, `rows` at most kTileRows for these columns.
template <class T>
MicroKernel<T> kernel_for(int rows, Index columns, bool trans_a);

/// Products of `rows` rows with the columns of one tile: the rows in equal blocks.
template <class T>
class RowBlocks {
 public:
  RowBlocks() = default;
  RowBlocks(Index rows, Index columns, bool trans_a) : trans_a_(trans_a) {
    const Index most = kTileRows[(columns + kWidth<T> - 1) / kWidth<T>];
    blocks_ = 1;
    rows_ = rows;
    if (rows > most) {
      blocks_ = (rows + most - 1) / most;
      rows_ = rows / blocks_;
      longer_ = rows - rows_ * blocks_;
    }
    kernel_[0] = kernel_for<T>(static_cast<int>(rows_), columns, trans_a);
    if (longer_ > 0) kernel_[1] = kernel_for<T>(static_cast<int>(rows_) + 1, columns, trans_a);
  }

  TAPEGRAD_INLINE void operator()(const MicroArgs<T>& args, const T* a, const T* b, T* c) const {
    for (Index block = 0; block < blocks_; ++block) {
      const int longer = block < longer_ ? 1 : 0;
      kernel_[longer](args, a, b, c);
      a += (rows_ + longer) * (trans_a_ ? 1 : args.lda);
      c += (rows_ + longer) * args.ldc;
    }
  }

 private:
  bool trans_a_ = false;
  Index blocks_ = 0, rows_ = 0, longer_ = 0;  // the first `longer_` blocks have one row more
  MicroKernel<T> kernel_[2] = {};             // for rows_ and one more
};

/// Values that `pack_b` writes for op(B) [k, n].
template <class T>
Index packed_size(Index k, Index n);

/// Copies op(B) [k, n] into panels of columns: block of rows by block of rows, in each panel by panel, in
/// each row by row, the last panel as wide as it needs to be, in whole vectors padded with zeros.
template <class T>
void pack_b(bool trans_b, Index k, Index n, const T* b, Index ldb, T* packed);

/// C = op(A) op(B) for the first k rows and n columns of a B packed as [packed_k, packed_n]; bits as
/// kernels::gemm.
template <class T>
void gemm_packed(bool trans_a, Index m, Index n, Index k, const T* a, Index lda, const T* packed,
                 Index packed_k, Index packed_n, T* c, Index ldc, bool accumulate);

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
