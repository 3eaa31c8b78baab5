// The products of a training step at S, M and L, forward and both transposed forms of the backward pass.
#include <fmt/format.h>
#include <algorithm>
#include <string>

#include <tapegrad/autograd/kernels/gemm.h>

#include "tests/bench/kernels/gemm_libraries.h"
#include "tests/bench/kernels/report.h"
#include "tests/bench/program/sizes.h"

namespace tapegrad::bench {
namespace {

bool multiply_own(const Product& p) {
  kernels::gemm(p.trans_a, p.trans_b, p.m, p.n, p.k, p.a, p.lda(), p.b, p.ldb(), p.c, p.n);
  return true;
}

void bench_product(Report& report, std::string_view size, Product p) {
  const std::vector<float> a = values(p.m * p.k), b = values(p.k * p.n);
  std::vector<float> c(static_cast<std::size_t>(p.m * p.n));
  p.a = a.data();
  p.b = b.data();
  p.c = c.data();
  const std::string name =
      fmt::format("{} {}{} {} × {} × {}", size, p.trans_a ? 'T' : 'N', p.trans_b ? 'T' : 'N', p.m, p.n, p.k);
  std::vector<GemmLibrary> libraries = gemm_libraries();
  libraries.insert(libraries.begin(), {"tapegrad", multiply_own});
  for (const GemmLibrary& library : libraries) {
    if (!library.multiply(p)) continue;
    const double seconds = report.best_seconds([&] { library.multiply(p); });
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
