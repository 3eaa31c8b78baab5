// GFLOP/s of gemm shapes, and time of other kernels, beside a loop that does nothing but multiply-adds.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include <tapegrad/autograd/kernels/variants.h>

namespace {

using namespace tapegrad::kernels;

/// Processor seconds of this thread: what other programs do does not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Best seconds of one call of f, over about `budget` seconds.
template <class F>
double best_seconds(F f, double budget = 0.1) {
  double best = 1e30, total = 0;
  long repeats = 1;
  while (total < budget) {
    const double start = thread_seconds();
    for (long r = 0; r < repeats; ++r) f();
    const double seconds = thread_seconds() - start;
    total += seconds;
    best = std::min(best, seconds / static_cast<double>(repeats));
    if (seconds < 2e-4) repeats *= 2;
  }
  return best;
}

std::vector<float> values(Index n) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(uniform01({1}, i)) - 0.5f;
  return v;
}

/// GFLOP/s of multiply-adds in registers: the ceiling of every product.
double peak(const Table<float>& table) {
  double operations = 0;
  const double seconds = best_seconds([&] { operations = table.multiply_add_loop(1000); });
  return operations / seconds * 1e-9;
}

struct Shape {
  Index m, n, k;
};

void bench_gemm(const Table<float>& table, double best) {
  const Shape shapes[] = {{8, 8, 8},       {16, 16, 16},      {32, 32, 32},      {64, 64, 32},
                          {64, 32, 64},    {64, 64, 64},      {128, 128, 128},   {256, 256, 256},
                          {512, 128, 512}, {512, 512, 128},   {1024, 512, 128},  {512, 128, 1024},
                          {512, 512, 512}, {1024, 2048, 512}, {2048, 512, 1024}, {1024, 1024, 1024},
                          {1, 512, 512},   {4, 512, 512}};
  std::printf("%-16s%10s%10s%10s%10s   GFLOP/s, peak %.1f\n", "m x n x k", "NN", "NT", "TN", "TT", best);
  for (const Shape& s : shapes) {
    const auto a = values(s.m * s.k), b = values(s.k * s.n);
    auto c = values(s.m * s.n);
    char name[40];
    std::snprintf(name, sizeof name, "%dx%dx%d", static_cast<int>(s.m), static_cast<int>(s.n),
                  static_cast<int>(s.k));
    std::printf("%-16s", name);
    for (int form = 0; form < 4; ++form) {
      const bool ta = form & 2, tb = form & 1;
      const double seconds = best_seconds([&] {
        table.gemm(ta, tb, s.m, s.n, s.k, a.data(), ta ? s.m : s.k, b.data(), tb ? s.k : s.n, c.data(), s.n,
                   nullptr, false);
      });
      std::printf("%10.1f", 2e-9 * static_cast<double>(s.m * s.n * s.k) / seconds);
    }
    std::printf("\n");
  }
}

void report(const char* name, double count, const char* unit, double seconds) {
  std::printf("%-34s%10.3f us%10.3f ns per %s\n", name, seconds * 1e6, seconds * 1e9 / count, unit);
}

void bench_rows(const Table<float>& table) {
  const Index rows = 256, n = 128, size = rows * n;
  const auto x = values(size), dy = values(size), gamma = values(n), beta = values(n);
  auto y = values(size), dx = values(size), mean = values(rows), rstd = values(rows), dgamma = values(n);
  auto dbeta = values(n);
  const auto count = static_cast<double>(size);
  const auto map = [&](const char* name, auto kernel) {
    report(name, count, "element", best_seconds([&] { kernel(x.data(), y.data(), size); }));
  };
  map("exp", table.exp);
  map("tanh", table.tanh);
  map("log", table.log);
  map("gelu", table.gelu);
  map("gelu_tanh", table.gelu_tanh);
  map("relu", table.relu);
  report("gelu_backward", count, "element",
         best_seconds([&] { table.gelu_backward(x.data(), dy.data(), dx.data(), size); }));
  report("dropout_forward", count, "element",
         best_seconds([&] { table.dropout_forward(x.data(), y.data(), size, 0.1, {1}, 0); }));
  report("softmax 256 x 128", count, "element",
         best_seconds([&] { table.softmax(x.data(), y.data(), rows, n); }));
  report("softmax 2048 x 16", count, "element",
         best_seconds([&] { table.softmax(x.data(), y.data(), 2048, 16); }));
  report("layer_norm 256 x 128", count, "element", best_seconds([&] {
           table.layer_norm(x.data(), gamma.data(), beta.data(), 1e-5f, y.data(), mean.data(), rstd.data(),
                            rows, n);
         }));
  report("layer_norm_backward 256 x 128", count, "element", best_seconds([&] {
           table.layer_norm_backward(x.data(), gamma.data(), mean.data(), rstd.data(), dy.data(), dx.data(),
                                     dgamma.data(), dbeta.data(), rows, n);
         }));
  std::vector<std::int64_t> targets(static_cast<std::size_t>(rows), 3);
  report("cross_entropy_forward 256 x 128", count, "element", best_seconds([&] {
           table.cross_entropy_forward(x.data(), targets.data(), rows, n, -100, 0.1, nullptr, mean.data());
         }));
  report("cross_entropy_backward 256 x 128", count, "element", best_seconds([&] {
           table.cross_entropy_backward(x.data(), targets.data(), mean.data(), rstd.data(), false, dx.data(),
                                        rows, n, -100, 0.1);
         }));
  auto m = values(size), v = std::vector<float>(static_cast<std::size_t>(size), 1.0f), p = values(size);
  report("adam", count, "element",
         best_seconds([&] { table.adam(p.data(), dy.data(), m.data(), v.data(), size, {}); }));
}

void bench_attention(const Table<float>& table) {
  for (const Index time : {12, 16, 32, 64, 128, 256, 512, 1024}) {
    for (const double dropout : {0.0, 0.1}) {
      const Index heads = 4, dim = 32, width = heads * dim;
      const auto qkv = values(time * 3 * width), dout = values(time * width);
      auto out = values(time * width), dqkv = values(time * 3 * width), max = values(heads * time), sum = max;
      AttentionArgs<float> args;
      args.batch = 1;
      args.heads = heads;
      args.query_len = args.key_len = time;
      args.head_dim = args.value_dim = dim;
      args.query = qkv.data();
      args.key = qkv.data() + width;
      args.value = qkv.data() + 2 * width;
      args.out = out.data();
      args.query_strides = args.key_strides = args.value_strides = {0, dim, 3 * width};
      args.out_strides = {0, dim, width};
      args.scale = 0.17f;
      args.causal = true;
      args.dropout = dropout;
      args.row_max = max.data();
      args.row_inverse_sum = sum.data();
      AttentionGradients<float> grads;
      grads.dout = dout.data();
      grads.dout_strides = args.out_strides;
      grads.dquery = dqkv.data();
      grads.dkey = dqkv.data() + width;
      grads.dvalue = dqkv.data() + 2 * width;
      grads.dquery_strides = grads.dkey_strides = grads.dvalue_strides = args.query_strides;
      const double forward = best_seconds([&] { table.attention_forward(args); });
      const double backward = best_seconds([&] { table.attention_backward(args, grads); });
      const double flops =
          2.0 * static_cast<double>(heads * time * time * dim);  // one product, half of it masked
      std::printf(
          "attention causal 4 heads x 32, T %5d, dropout %.1f: forward %9.2f us %6.1f GFLOP/s, backward "
          "%9.2f us %6.1f\n",
          static_cast<int>(time), dropout, forward * 1e6, flops / forward * 1e-9, backward * 1e6,
          2.5 * flops / backward * 1e-9);
    }
  }
}

}  // namespace

// kernel_bench [ISA...]: all variants of this machine, or those named.
int main(int argc, char** argv) {
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::generic}) {
    const Table<float>* table = variant<float>(isa);
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], isa_name(isa)) == 0;
    if (!table || !wanted) continue;
    std::printf("== %s\n", isa_name(isa));
    bench_gemm(*table, peak(*table));
    bench_rows(*table);
    bench_attention(*table);
  }
}
