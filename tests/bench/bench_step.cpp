// One training step of an encoder-decoder on the copy task, timed: the program of the benchmark's peers
// (peers/peer_bench.py tells what it computes), written with the public parts of the library. Prints one JSON
// line: that of the peers, and for timed runs
//   flops                    of the products a step cannot do without: step_flops (program/sizes.h)
//   gflops, fma_peak_gflops, share_of_peak   by that, and the ceiling measured in this run
//   allocations              calls of malloc and its relatives a timed step
//   nodes, tape_bytes        recorded a step; the largest tape, gradients included
//   isa                      the instruction set of the kernels
// With a size of one's own it also says the seven numbers that make it.
#include <tests/support/malloc_count.h>

#include <fmt/format.h>

#include <tapegrad/autograd/kernels/kernel.h>

#include "examples/support/cli.h"
#include "tests/bench/program/measure.h"
#include "tests/bench/step/fma_peak.h"
#include "tests/bench/step/init_file.h"
#include "tests/bench/step/trainer.h"

namespace tapegrad::bench {
using namespace nn;
using namespace optim;
namespace {

constexpr const char* about =
    "Times a training step (forward, backward, Adam, loss read back) of a Transformer encoder-decoder on the "
    "copy task, float32, and prints one JSON line. A seed draws the batches that peers/peer_bench.py draws.";
constexpr const char* init_help =
    "initial weights, under the names of the module in peers/peer_torch.py, whose buffers pe and mask may "
    "stand in the file, too; an integer tensor data.source [steps, batch, length] replaces the drawn "
    "batches. "
    "The run then begins with five steps on batches 0 … 4, and prints their losses";

void time_steps(Json& out, const Arguments& arguments, Trainer& trainer, Batches& batches) {
  std::vector<Trainer::Prepared> prepared;
  while (prepared.size() < batches.kept()) prepared.push_back(trainer.prepare(batches.next()));
  TimedRun run(arguments, std::move(prepared),
               [&](const Trainer::Prepared& batch) { return trainer.step(batch); });
  run.warm_up();
  const std::uint64_t before = test::allocation_calls();
  run.time();
  const auto calls = static_cast<double>(test::allocation_calls() - before);
  run.report(out);
  out["peak_rss_mb"] = peak_rss_mb();
  const double gflops = 1e-9 * step_flops(arguments.size()) / run.median_seconds();
  const double peak = fma_peak_gflops(arguments.threads);
  out["flops"] = step_flops(arguments.size());
  out["gflops"] = rounded(gflops, 2);
  out["fma_peak_gflops"] = rounded(peak, 1);
  out["share_of_peak"] = rounded(gflops / peak, 4);
  if (test::counts_allocations()) out["allocations"] = rounded(calls / run.steps(), 2);
  out["nodes"] = trainer.nodes();
  out["tape_bytes"] = trainer.tape_bytes();
  out["isa"] = kernels::isa_name(kernels::active_isa());
}

int main(int argc, char** argv) {
  CLI::App app(about);
  Arguments arguments;
  add_options(app, arguments);
  app.add_option("--init", arguments.init, init_help)->type_name("FILE.safetensors");
  bool checkpoint = false;
  app.add_flag("--checkpoint", checkpoint,
               "compute each layer's activations again in the backward pass: less memory, same bits");
  return examples::run_program("bench_step", app, argc, argv, [&] {
    pin(arguments.threads);
    const Size size = arguments.size();
    Trainer trainer(size, arguments.threads, arguments.seed, checkpoint);
    std::vector<Batch> given;
    if (!arguments.init.empty()) given = load_init(arguments.init, trainer.parameters(), size);
    Batches batches(size, arguments.seed, std::move(given));
    Json out = {{"backend", "tapegrad"},
                {"size", size.name},
                {"threads", arguments.threads},
                {"params", trainer.parameters().trainable_values()}};
    if (checkpoint) out["checkpoint"] = true;
    if (size.name == "custom")
      out.update({{"d_model", size.d_model},
                  {"heads", size.heads},
                  {"ff", size.ff},
                  {"layers", size.layers},
                  {"length", size.length},
                  {"batch", size.batch},
                  {"vocabulary", size.vocabulary}});
    if (arguments.train_until) {
      train_until(out, arguments, batches,
                  [&](const Batch& batch) { return trainer.step(trainer.prepare(batch)); });
      out["peak_rss_mb"] = peak_rss_mb();
    } else {
      time_steps(out, arguments, trainer, batches);
    }
    fmt::print("{}\n", out.dump());
  });
}

}  // namespace
}  // namespace tapegrad::bench

int main(int argc, char** argv) { return tapegrad::bench::main(argc, argv); }
