// Products in every form: transposed operands, strides, old values, bias and rectification.
#include <array>
#include <limits>

#include <tapegrad/autograd/kernels/gemm/gemm.h>

#include "support.h"

namespace tapegrad::test {
namespace {

struct Case {
  Index m, n, k;
  bool trans_a, trans_b, with_bias, accumulate, rectify;
};

/// Operands with longer rows than they need, and C, whose old values are NaN where they must not be read.
template <class T>
void check_product(Source& source, const Case& x) {
  constexpr Index slack = 5;
  const Index lda = (x.trans_a ? x.m : x.k) + slack, ldb = (x.trans_b ? x.k : x.n) + slack, ldc = x.n + slack;
  const auto a = source.values<T>((x.trans_a ? x.k : x.m) * lda),
             b = source.values<T>((x.trans_b ? x.n : x.k) * ldb), bias = source.values<T>(x.n);
  auto c = source.values<T>(x.m * ldc);
  std::vector<double> expected(c.begin(), c.end());
  for (Index i = 0; i < x.m; ++i)
    for (Index j = 0; j < x.n; ++j) {
      const auto at = static_cast<std::size_t>(i * ldc + j);
      double sum = x.accumulate ? static_cast<double>(c[at]) : 0;
      if (!x.accumulate) c[at] = std::numeric_limits<T>::quiet_NaN();
      if (x.with_bias) sum += static_cast<double>(bias[static_cast<std::size_t>(j)]);
      for (Index p = 0; p < x.k; ++p)
        sum += static_cast<double>(a[static_cast<std::size_t>(x.trans_a ? p * lda + i : i * lda + p)]) *
               static_cast<double>(b[static_cast<std::size_t>(x.trans_b ? j * ldb + p : p * ldb + j)]);
      expected[at] = x.rectify ? std::max(sum, 0.0) : sum;
    }
  const T* added = x.with_bias ? bias.data() : nullptr;
  if (x.rectify)
    kernels::gemm_relu(x.trans_a, x.trans_b, x.m, x.n, x.k, a.data(), lda, b.data(), ldb, c.data(), ldc,
                       added);
  else
    kernels::gemm(x.trans_a, x.trans_b, x.m, x.n, x.k, a.data(), lda, b.data(), ldb, c.data(), ldc, added,
                  x.accumulate);
  check_close(c, expected, tolerance<T>(x.k),
              "m " + std::to_string(x.m) + " n " + std::to_string(x.n) + " k " + std::to_string(x.k));
}

template <class T>
void check_products() {
  Source source(1);
  for (const auto& [m, n, k] : {std::array<Index, 3>{1, 1, 1},
                                {7, 5, 3},
                                {33, 48, 20},
                                {64, 65, 130},
                                {2, 0, 3},
                                {0, 2, 3},
                                {3, 4, 0}})
    for (int mode = 0; mode < 32; ++mode) {
      const Case x{
          m, n, k, (mode & 1) != 0, (mode & 2) != 0, (mode & 4) != 0, (mode & 8) != 0, (mode & 16) != 0};
      if (x.accumulate && x.rectify) continue;
      BOOST_TEST_CONTEXT("mode " << mode << (sizeof(T) == 4 ? " float" : " double")) {
        check_product<T>(source, x);
      }
    }
}

BOOST_AUTO_TEST_SUITE(gemm_forms)

BOOST_AUTO_TEST_CASE(products_agree_with_loops) {
  check_products<float>();
  check_products<double>();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
