// Fused kernels have the bits of the kernels that they join, in every variant.
#include "support.h"

#include <tapegrad/autograd/kernels/dropout.h>
#include <tapegrad/autograd/kernels/elementwise.h>
#include <tapegrad/autograd/kernels/embedding.h>
#include <tapegrad/autograd/kernels/gemm/gemm.h>
#include <tapegrad/autograd/kernels/norm.h>

namespace tapegrad::test {
namespace {

template <class T>
void gemm_relu_is_gemm_then_relu() {
  Source source(31);
  for (const Index m : {0, 1, 2, 9, 33})
    for (const Index n : {1, 16, 37, 130})
      for (const Index k : {0, 5, 300})
        for (const bool trans_b : {false, true}) {
          const Index ldb = trans_b ? k : n, ldc = n + 2;
          const auto a = source.values<T>(m * k), b = source.values<T>(k * n), bias = source.values<T>(n),
                     start = source.values<T>(m * ldc);
          each_variant<T>([&] {
            auto one = start, two = start;
            kernels::gemm_relu(false, trans_b, m, n, k, a.data(), k, b.data(), ldb, one.data(), ldc,
                               bias.data());
            kernels::gemm(false, trans_b, m, n, k, a.data(), k, b.data(), ldb, two.data(), ldc, bias.data(),
                          false);
            for (Index i = 0; i < m; ++i) kernels::relu(two.data() + i * ldc, two.data() + i * ldc, n);
            BOOST_TEST(same_bits(one, two), "m " << m << " n " << n << " k " << k);
          });
        }
}

template <class T>
void gradients_and_their_sums() {
  Source source(32);
  for (const Index rows : {0, 1, 7, 8, 9, 30})
    for (const Index n : {1, 16, 21}) {
      const auto x = source.values<T>(rows * n), dy = source.values<T>(rows * n), start = source.values<T>(n);
      each_variant<T>([&] {
        for (const bool relu : {true, false}) {
          std::vector<T> dx(x.size()), expected(x.size()), sums = start, expected_sums = start;
          const auto run = [&](T* to, T* dbias, const T* from) {
            (relu ? kernels::relu_gradient<T> : kernels::gelu_gradient<T>)(x.data(), from, to, rows, n,
                                                                           dbias);
          };
          run(dx.data(), sums.data(), dy.data());
          (relu ? kernels::relu_backward<T> : kernels::gelu_backward<T>)(x.data(), dy.data(), expected.data(),
                                                                         rows * n, true);
          kernels::sum_rows(expected.data(), rows, n, n, expected_sums.data(), true);
          check_close(dx, expected, 0, "gradient");  // dx may be -0 where `expected` is +0
          BOOST_TEST(same_bits(sums, expected_sums));
          std::vector<T> in_place = dy;
          run(in_place.data(), nullptr, in_place.data());
          BOOST_TEST(same_bits(in_place, dx));
        }
      });
    }
}

template <class T>
void sum_and_norm() {
  Source source(33);
  constexpr Index rows = 5;
  constexpr RandomKey key{77};
  for (const Index n : {1, 7, 16, 40, 64})
    for (const double p : {0.0, 0.4, 1.0}) {
      const auto x = source.values<T>(rows * n), f = source.values<T>(rows * n), gamma = source.values<T>(n),
                 beta = source.values<T>(n), dy = source.values<T>(rows * n), ds = source.values<T>(rows * n),
                 held = source.values<T>(rows * n);
      each_variant<T>([&] {
        const std::vector<T> zeros(x.size());
        std::vector<T> added = f, sum(x.size()), y(x.size()), mean(rows), rstd(rows);
        if (p > 0) kernels::dropout_forward(f.data(), added.data(), rows * n, p, key, 0);
        for (std::size_t i = 0; i < x.size(); ++i) added[i] = x[i] + added[i];
        const T eps = static_cast<T>(1e-5);
        const kernels::AddLayerNormArgs<T> args{
            rows,        n,   x.data(),   f.data(), p,           key,        gamma.data(),
            beta.data(), eps, sum.data(), y.data(), mean.data(), rstd.data()};
        kernels::add_layer_norm(args);
        std::vector<T> expected_y(x.size()), expected_mean(rows), expected_rstd(rows);
        kernels::layer_norm(added.data(), gamma.data(), beta.data(), eps, expected_y.data(),
                            expected_mean.data(), expected_rstd.data(), rows, n);
        BOOST_TEST(same_bits(sum, added));
        BOOST_TEST(same_bits(y, expected_y));
        BOOST_TEST(same_bits(mean, expected_mean));
        BOOST_TEST(same_bits(rstd, expected_rstd));

        for (const bool with_sum : {false, true})
          for (const bool fresh : {false, true}) {
            std::vector<T> dx = held, df = held, dgamma = gamma, dbeta = beta;
            kernels::add_layer_norm_backward(args, {dy.data(), with_sum ? ds.data() : nullptr, dx.data(),
                                                    df.data(), fresh, fresh, dgamma.data(), dbeta.data()});
            std::vector<T> d = with_sum ? ds : zeros, expected_dx = fresh ? zeros : held,
                           expected_df = expected_dx, expected_dgamma = gamma, expected_dbeta = beta;
            kernels::layer_norm_backward(sum.data(), gamma.data(), mean.data(), rstd.data(), dy.data(),
                                         d.data(), expected_dgamma.data(), expected_dbeta.data(), rows, n,
                                         true);
            kernels::add_into(expected_dx.data(), d.data(), rows * n);
            if (p > 0)
              kernels::dropout_backward(d.data(), expected_df.data(), rows * n, p, key, 0, true);
            else
              kernels::add_into(expected_df.data(), d.data(), rows * n);
            BOOST_TEST(same_bits(dx, expected_dx));
            BOOST_TEST(same_bits(df, expected_df));
            BOOST_TEST(same_bits(dgamma, expected_dgamma));
            BOOST_TEST(same_bits(dbeta, expected_dbeta));
          }
      });
    }
}

template <class T>
void embeddings() {
  Source source(34);
  const std::vector<std::int64_t> ids = {2, 0, 1, 2, 2, 0};
  for (const Index n : {1, 16, 21}) {
    const auto table_values = source.values<T>(3 * n), positions = source.values<T>(3 * n),
               dy = source.values<T>(6 * n), start = source.values<T>(3 * n);
    const T factor = static_cast<T>(1.7);
    each_variant<T>([&] {
      std::vector<T> y(dy.size()), dtable = start, dpositions = start, expected(y.size()),
                                   expected_table = start, expected_positions = start;
      kernels::embed(table_values.data(), ids.data(), 6, n, factor, positions.data(), 3, y.data());
      kernels::embed_backward(dy.data(), ids.data(), 6, n, factor, 1, dtable.data(), 3, dpositions.data());
      for (std::size_t i = 0; i < ids.size(); ++i)
        for (std::size_t j = 0; j < static_cast<std::size_t>(n); ++j) {
          const auto width = static_cast<std::size_t>(n), row = static_cast<std::size_t>(ids[i]) * width + j;
          volatile T product = table_values[row] * factor;
          expected[i * width + j] = product + positions[i % 3 * width + j];
          product = dy[i * width + j] * factor;
          if (ids[i] != 1) expected_table[row] += product;
          expected_positions[i % 3 * width + j] += dy[i * width + j];
        }
      BOOST_TEST(same_bits(y, expected));
      BOOST_TEST(same_bits(dtable, expected_table));
      BOOST_TEST(same_bits(dpositions, expected_positions));
    });
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fused_kernels)

BOOST_AUTO_TEST_CASE(products_that_are_rectified) {
  gemm_relu_is_gemm_then_relu<float>();
  gemm_relu_is_gemm_then_relu<double>();
}

BOOST_AUTO_TEST_CASE(activation_gradients_with_the_bias) {
  gradients_and_their_sums<float>();
  gradients_and_their_sums<double>();
}

BOOST_AUTO_TEST_CASE(residual_sums_and_norms) {
  sum_and_norm<float>();
  sum_and_norm<double>();
}

BOOST_AUTO_TEST_CASE(scaled_embeddings_with_positions) {
  embeddings<float>();
  embeddings<double>();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad::test
