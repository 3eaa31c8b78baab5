// The products of a training step at S, M and L, forward and both transposed forms of the backward pass.
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <string>

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/kernels/gemm/gemm.h>

#include "tests/bench/gemm/libraries.h"
#include "tests/bench/kernels/report.h"
#include "tests/bench/program/sizes.h"

namespace tapegrad::bench {
namespace {

/// op(A) [m, k], op(B) [k, n].
struct Product {
  bool trans_a = false, trans_b = false;
  std::int64_t m = 0, n = 0, k = 0;
};

bool multiply_own(const GemmCall& x) {
  kernels::gemm(x.trans_a, x.trans_b, x.m, x.n, x.k, x.a, x.lda, x.b, x.ldb, x.c, x.ldc);
  return true;
}

/// Checks a library's product, so that no wrong product is timed.
void check_equal(const char* library, const std::string& name, const std::vector<float>& found,
                 const std::vector<float>& expected) {
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!(std::abs(found[i] - expected[i]) <= 1e-3f * std::max(1.0f, std::abs(expected[i]))))
      throw Error(
          fmt::format("{}: {}: element {} is {}, expected {}", library, name, i, found[i], expected[i]));
}

void bench_product(Report& report, std::string_view size, const Product& p) {
  const std::vector<float> a = values(p.m * p.k), b = values(p.k * p.n);
  std::vector<float> c(static_cast<std::size_t>(p.m * p.n));
  const GemmCall call{
      p.trans_a, p.trans_b, p.m, p.n, p.k, a.data(), p.trans_a ? p.m : p.k, b.data(), p.trans_b ? p.k : p.n,
      c.data(),  p.n};
  const std::string name =
      fmt::format("{} {}{} {} × {} × {}", size, p.trans_a ? 'T' : 'N', p.trans_b ? 'T' : 'N', p.m, p.n, p.k);
  std::vector<float> own(c.size());
  GemmCall reference = call;
  reference.c = own.data();
  multiply_own(reference);
  std::vector<GemmLibrary> libraries = gemm_libraries();
  libraries.insert(libraries.begin(), {"tapegrad", multiply_own});
  for (const GemmLibrary& library : libraries) {
    if (!library.multiply(call)) continue;
    check_equal(library.name, name, c, own);
    const double seconds = report.best_seconds([&] { library.multiply(call); });
    report.add({"matrix product", "GFLOP/s", name, library.name,
                2e-9 * static_cast<double>(p.m * p.n * p.k) / seconds});
  }
}

}  // namespace

void bench_gemm(Report& report) {
  for (const Size& c : sizes) {
    if (c.name == "S1") continue;  // the layers of S
    struct Layer {
      std::int64_t in, out;
      bool operator==(const Layer&) const = default;
    };
    std::vector<Layer> layers;
    for (const Layer layer : {Layer{c.d_model, 3 * c.d_model},
                              {c.d_model, 2 * c.d_model},
                              {c.d_model, c.d_model},
                              {c.d_model, c.ff},
                              {c.ff, c.d_model},
                              {c.d_model, c.vocabulary}})
      if (std::find(layers.begin(), layers.end(), layer) == layers.end()) layers.push_back(layer);
    const std::int64_t rows = c.tokens();
    for (const Layer& layer : layers) {
      bench_product(report, c.name, {.trans_b = true, .m = rows, .n = layer.out, .k = layer.in});  // x Wᵀ
      bench_product(report, c.name, {.m = rows, .n = layer.in, .k = layer.out});                   // dy W
      bench_product(report, c.name, {.trans_a = true, .m = layer.out, .n = layer.in, .k = rows});  // dyᵀ x
    }
    const std::int64_t time = c.length, dim = c.d_model / c.heads;  // one head, as a product of its own
    bench_product(report, c.name, {.trans_b = true, .m = time, .n = time, .k = dim});
    bench_product(report, c.name, {.m = time, .n = dim, .k = time});
    bench_product(report, c.name, {.trans_a = true, .m = time, .n = dim, .k = time});
  }
}

}  // namespace tapegrad::bench
