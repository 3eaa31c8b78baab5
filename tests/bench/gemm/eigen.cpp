// Compiled for the processor at hand. The namespace is renamed so that the linker never takes these instances
// of Eigen's templates for the portably compiled ones of the library and its users.
#define Eigen TapegradGemmEigen
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

#include "tests/bench/gemm/libraries.h"

namespace tapegrad::bench {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class M>
using Map = Eigen::Map<M, Eigen::Unaligned, Eigen::OuterStride<>>;

}  // namespace

bool gemm_eigen(const GemmCall& x) {
  const Map<const Matrix> a(x.a, x.trans_a ? x.k : x.m, x.trans_a ? x.m : x.k, Eigen::OuterStride(x.lda)),
      b(x.b, x.trans_b ? x.n : x.k, x.trans_b ? x.k : x.n, Eigen::OuterStride(x.ldb));
  Map<Matrix> c(x.c, x.m, x.n, Eigen::OuterStride(x.ldc));
  if (x.trans_a && x.trans_b)
    c.noalias() = a.transpose() * b.transpose();
  else if (x.trans_a)
    c.noalias() = a.transpose() * b;
  else if (x.trans_b)
    c.noalias() = a * b.transpose();
  else
    c.noalias() = a * b;
  return true;
}

}  // namespace tapegrad::bench
