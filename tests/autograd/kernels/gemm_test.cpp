#include "support.h"

#include <tapegrad/autograd/kernels/gemm/gemm.h>

namespace tapegrad::test {
namespace {

struct Shape {
  Index m, n, k;
};

/// Operands with rows longer than they need, and C among guards.
template <class T>
struct Product {
  bool ta, tb;
  Shape s;
  Index lda, ldb, ldc;
  std::vector<T> a, b, c, bias;

  Product(Source& source, bool trans_a, bool trans_b, Shape shape, Index slack)
      : ta(trans_a), tb(trans_b), s(shape) {
    lda = (ta ? s.m : s.k) + slack;
    ldb = (tb ? s.k : s.n) + slack;
    ldc = s.n + slack;
    a = source.values<T>((ta ? s.k : s.m) * lda);
    b = source.values<T>((tb ? s.n : s.k) * ldb);
    c = source.values<T>(s.m * ldc);
    bias = source.values<T>(s.n);
  }
  double at_a(Index i, Index p) const { return a[static_cast<std::size_t>(ta ? p * lda + i : i * lda + p)]; }
  double at_b(Index p, Index j) const { return b[static_cast<std::size_t>(tb ? j * ldb + p : p * ldb + j)]; }

  std::vector<T> run(bool with_bias, bool accumulate) const {
    std::vector<T> out = c;
    kernels::gemm(ta, tb, s.m, s.n, s.k, a.data(), lda, b.data(), ldb, out.data(), ldc,
                  with_bias ? bias.data() : nullptr, accumulate);
    return out;
  }
  std::vector<double> expected(bool with_bias, bool accumulate) const {
    std::vector<double> out(c.begin(), c.end());
    for (Index i = 0; i < s.m; ++i)
      for (Index j = 0; j < s.n; ++j) {
        double& to = out[static_cast<std::size_t>(i * ldc + j)];
        if (!accumulate) to = 0;
        if (with_bias) to += bias[static_cast<std::size_t>(j)];
        for (Index p = 0; p < s.k; ++p) to += at_a(i, p) * at_b(p, j);
      }
    return out;
  }
};

const Shape kShapes[] = {{1, 1, 1},      {0, 5, 3},    {5, 0, 3},      {4, 7, 0},      {1, 300, 70},
                         {2, 65, 33},    {3, 17, 5},   {8, 8, 8},      {13, 31, 20},   {14, 32, 16},
                         {15, 33, 17},   {29, 48, 64}, {64, 64, 32},   {33, 129, 95},  {100, 70, 500},
                         {57, 200, 400}, {1, 40, 900}, {300, 150, 40}, {260, 260, 40}, {16, 270, 1030}};

template <class T>
void compare_with_naive() {
  Source source(1);
  for (const Shape& s : kShapes)
    for (int form = 0; form < 4; ++form)
      for (const Index slack : {0, 3, 300}) {
        const Product<T> product(source, form & 1, form & 2, s, slack);
        for (int mode = 0; mode < 4; ++mode) {
          const auto expected = product.expected(mode & 1, mode & 2);
          each_variant<T>([&] {
            check_close(product.run(mode & 1, mode & 2), expected, tolerance<T>(s.k),
                        "form " + std::to_string(form) + " mode " + std::to_string(mode) + " m " +
                            std::to_string(s.m) + " n " + std::to_string(s.n) + " k " + std::to_string(s.k));
          });
        }
      }
}

BOOST_AUTO_TEST_SUITE(gemm_kernel)

BOOST_AUTO_TEST_CASE(agrees_with_loops) {
  compare_with_naive<float>();
  compare_with_naive<double>();
}

// The contract itself: one fused chain over ascending k, whatever the blocking.
BOOST_AUTO_TEST_CASE(is_one_chain_of_fused_multiply_adds) {
  Source source(2);
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (!kernels::available(isa)) continue;
    const UseIsa variant(isa);
    for (const Shape& s : kShapes)
      for (int form = 0; form < 4; ++form)
        for (int mode = 0; mode < 3; ++mode) {
          const Product<float> product(source, form & 1, form & 2, s, 1);
          auto expected = product.c;
          for (Index i = 0; i < s.m; ++i)
            for (Index j = 0; j < s.n; ++j) {
              float& to = expected[static_cast<std::size_t>(i * product.ldc + j)];
              float x = mode == 0 ? 0 : mode == 1 ? product.bias[static_cast<std::size_t>(j)] : to;
              for (Index p = 0; p < s.k; ++p)
                x = std::fma(static_cast<float>(product.at_a(i, p)), static_cast<float>(product.at_b(p, j)),
                             x);
              to = x;
            }
          BOOST_TEST(same_bits(product.run(mode == 1, mode == 2), expected));
        }
  }
}

template <class T>
void rows_alone() {
  Source source(3);
  const Shape s{37, 53, 500};
  for (int form = 0; form < 4; ++form) {
    const Product<T> product(source, form & 1, form & 2, s, 2);
    each_variant<T>([&] {
      const auto all = product.run(true, false);
      for (Index i = 0; i < s.m; ++i) {
        std::vector<T> row(static_cast<std::size_t>(s.n));
        kernels::gemm(product.ta, product.tb, 1, s.n, s.k,
                      product.a.data() + (product.ta ? i : i * product.lda), product.lda, product.b.data(),
                      product.ldb, row.data(), s.n, product.bias.data(), false);
        const auto from = all.begin() + i * product.ldc;
        BOOST_TEST(same_bits(row, std::vector<T>(from, from + s.n)));
      }
    });
    check_same_on_fma_variants([&] { return product.run(false, true); }, "gemm");
  }
}

BOOST_AUTO_TEST_CASE(a_row_alone_has_the_bits_it_has_in_a_batch) {
  rows_alone<float>();
  rows_alone<double>();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
