// Times the kernels by themselves, on one thread, beside the libraries that CMake found: matrix products of a
// training step, attention by length, softmax, norms, losses and Adam. The instruction set is the best one,
// or that of the environment variable TAPEGRAD_ISA.
#include <fmt/format.h>

#include <tapegrad/autograd/kernels/kernel.h>

#include "examples/support/cli.h"
#include "tests/bench/kernels/report.h"
#include "tests/bench/program/measure.h"
#include "tests/bench/step/fma_peak.h"

int main(int argc, char** argv) {
  using namespace tapegrad;
  CLI::App app(
      "Times the kernels by themselves, on one thread, beside the libraries that were found at build time.");
  bool json = false;
  double seconds = 0.1;
  bench::AttentionLengths lengths;
  std::vector<std::string> only;
  app.add_flag("--json", json, "one JSON line a measurement, instead of tables");
  app.add_option("--seconds", seconds, "about how long to measure each case")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--shortest", lengths.shortest, "length at which attention begins")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--longest", lengths.longest, "length at which attention ends")->capture_default_str();
  app.add_flag("--causal", lengths.only_causal, "of attention, only the causal cases");
  app.add_option("--only", only, "gemm, attention or rows; more than one may be named")
      ->check(CLI::IsMember({"gemm", "attention", "rows"}));
  return examples::run_program("kernel_bench", app, argc, argv, [&] {
    bench::pin(1);
    bench::Report report(json, seconds);
    const std::string isa = kernels::isa_name(kernels::active_isa());
    report.add({"multiply-adds in registers", "GFLOP/s", isa, "tapegrad", bench::fma_peak_gflops(1)});
    const auto wanted = [&](const char* name) {
      return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
    };
    if (wanted("gemm")) bench::bench_gemm(report);
    if (wanted("attention")) bench::bench_attention(report, lengths);
    if (wanted("rows")) bench::bench_rows(report);
    report.finish();
  });
}
