// Kernels that pass over rows or elements once, beside their counterparts in Eigen.
#include <fmt/format.h>

#include <tapegrad/autograd/kernels/adam.h>
#include <tapegrad/autograd/kernels/cross_entropy.h>
#include <tapegrad/autograd/kernels/elementwise.h>
#include <tapegrad/autograd/kernels/norm.h>
#include <tapegrad/autograd/kernels/softmax.h>

#include "tests/bench/kernels/eigen_rows.h"
#include "tests/bench/kernels/report.h"
#include "tests/bench/program/sizes.h"

namespace tapegrad::bench {
namespace {

template <class F>
void add(Report& report, const std::string& name, const char* library, std::int64_t elements, F f) {
  report.add({"pass over elements", "ns per element", name, library,
              1e9 * report.best_seconds(f) / static_cast<double>(elements)});
}

void bench_softmax(Report& report, std::int64_t rows, std::int64_t n) {
  const std::vector<float> x = values(rows * n);
  std::vector<float> y(x.size());
  const std::string name = fmt::format("softmax {} × {}", rows, n);
  add(report, name, "tapegrad", rows * n, [&] { kernels::softmax(x.data(), y.data(), rows, n); });
  add(report, name, "Eigen", rows * n, [&] { softmax_eigen(x.data(), y.data(), rows, n); });
}

void bench_norm(Report& report, std::int64_t rows, std::int64_t n) {
  const std::vector<float> x = values(rows * n), dy = x, gamma = values(n), beta = values(n);
  std::vector<float> y(x.size()), dx(x.size()), dgamma(gamma.size()), dbeta(gamma.size());
  std::vector<float> mean(static_cast<std::size_t>(rows)), rstd(mean.size());
  const std::string name = fmt::format("layer norm {} × {}", rows, n);
  add(report, name, "tapegrad", rows * n, [&] {
    kernels::layer_norm(x.data(), gamma.data(), beta.data(), 1e-5f, y.data(), mean.data(), rstd.data(), rows,
                        n);
  });
  add(report, name, "Eigen", rows * n,
      [&] { layer_norm_eigen(x.data(), gamma.data(), beta.data(), y.data(), rows, n); });
  add(report, name + ", backward", "tapegrad", rows * n, [&] {
    kernels::layer_norm_backward(x.data(), gamma.data(), mean.data(), rstd.data(), dy.data(), dx.data(),
                                 dgamma.data(), dbeta.data(), rows, n);
  });
}

void bench_cross_entropy(Report& report, std::int64_t rows, std::int64_t classes) {
  const std::vector<float> logits = values(rows * classes);
  std::vector<float> dlogits(logits.size()), losses(static_cast<std::size_t>(rows)), log_sum(losses.size());
  const std::vector<std::int64_t> targets(losses.size(), 3);
  const std::string name = fmt::format("cross-entropy {} × {}", rows, classes);
  add(report, name, "tapegrad", rows * classes, [&] {
    kernels::cross_entropy_forward(logits.data(), targets.data(), rows, classes, -100, 0.0, losses.data(),
                                   log_sum.data());
  });
  const float cotangent = 1e-3f;
  add(report, name + ", backward", "tapegrad", rows * classes, [&] {
    kernels::cross_entropy_backward(logits.data(), targets.data(), log_sum.data(), &cotangent, false,
                                    dlogits.data(), rows, classes, -100, 0.0);
  });
}

void bench_adam(Report& report, std::int64_t n) {
  const std::vector<float> grad = values(n);
  std::vector<float> p = values(n), m(p.size()), v(p.size(), 1.0f);
  const std::string name = fmt::format("Adam {}", n);
  add(report, name, "tapegrad", n, [&] { kernels::adam(p.data(), grad.data(), m.data(), v.data(), n, {}); });
  add(report, name, "Eigen", n, [&] { adam_eigen(p.data(), grad.data(), m.data(), v.data(), n); });
}

void bench_elements(Report& report, std::int64_t n) {
  const std::vector<float> x = values(n);
  std::vector<float> y(x.size());
  const auto map = [&](const char* name, void (*kernel)(const float*, float*, std::int64_t)) {
    add(report, fmt::format("{} {}", name, n), "tapegrad", n, [&] { kernel(x.data(), y.data(), n); });
  };
  map("exp", kernels::exp<float>);
  map("tanh", kernels::tanh<float>);
  map("gelu", kernels::gelu<float>);
  map("relu", kernels::relu<float>);
}

}  // namespace

void bench_rows(Report& report) {
  for (const Size& c : sizes) {
    if (c.name == "S1") continue;
    bench_softmax(report, c.batch * c.heads * c.length, c.length);
    bench_norm(report, c.tokens(), c.d_model);
    bench_cross_entropy(report, c.tokens(), c.vocabulary);
    bench_adam(report, c.d_model * c.ff);
  }
  bench_elements(report, 1 << 15);
}

}  // namespace tapegrad::bench
