// Compiled for the processor at hand. The namespace is renamed so that the linker never takes these instances
// of Eigen's templates for the portably compiled ones of the library and its users.
#define Eigen TapegradGemmEigen
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

#include "../gemm_backend.h"

namespace tapegrad::kernels {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class M>
using Map = Eigen::Map<M, Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T>
bool multiply(const GemmCall<T>& x) {
  const Map<const Matrix<T>> a(x.a, x.trans_a ? x.k : x.m, x.trans_a ? x.m : x.k, Eigen::OuterStride(x.lda)),
      b(x.b, x.trans_b ? x.n : x.k, x.trans_b ? x.k : x.n, Eigen::OuterStride(x.ldb));
  Map<Matrix<T>> c(x.c, x.m, x.n, Eigen::OuterStride(x.ldc));
  const auto store = [&](const auto& product) {
    if (x.accumulate)
      c.noalias() += product;
    else
      c.noalias() = product;
  };
  if (x.trans_a && x.trans_b)
    store(a.transpose() * b.transpose());
  else if (x.trans_a)
    store(a.transpose() * b);
  else if (x.trans_b)
    store(a * b.transpose());
  else
    store(a * b);
  return true;
}

}  // namespace

bool gemm_eigen(const GemmCall<float>& call) { return multiply(call); }
bool gemm_eigen(const GemmCall<double>& call) { return multiply(call); }

}  // namespace tapegrad::kernels
