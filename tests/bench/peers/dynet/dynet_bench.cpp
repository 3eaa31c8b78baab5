// DyNet running the program of peer_bench.py, by mini-batched expressions; prints its JSON line.
#include <omp.h>

#include <iostream>

#include <dynet/dynet.h>
#include <dynet/init.h>
#include <dynet/training.h>

#include "../../program/measure.h"
#include "init_file.h"

namespace {

using namespace tapegrad::bench;

struct Prepared {
  std::vector<unsigned> source, target_in;
};

/// With PyTorch's epsilon: DyNet adds it to the second moment before its bias is corrected.
class Adam : public dynet::AdamTrainer {
 public:
  explicit Adam(dynet::ParameterCollection& params) : AdamTrainer(params, 1e-3F) {
    clipping_enabled = false;
    sparse_updates_enabled = false;  // as the peers, which update whole embeddings
  }
  void step() {
    epsilon = static_cast<float>(1e-8 * std::sqrt(1 - std::pow(beta_2, ++count_)));
    update();
  }

 private:
  int count_ = 0;
};

Json run(const Arguments& arguments) {
  const Size size = arguments.size();
  omp_set_num_threads(arguments.threads);  // Eigen's products
  dynet::DynetParams settings;
  settings.random_seed = static_cast<unsigned>(arguments.seed);
  settings.mem_descriptor = "4";  // megabytes to begin with; the pools grow
  dynet::initialize(settings);
  dynet::ParameterCollection params;
  dynet_peer::Transformer model(params, size);
  std::vector<Batch> given;
  if (!arguments.init.empty()) given = dynet_peer::load_init(arguments.init, model, size);
  Adam adam(params);
  Batches batches(size, arguments.seed, std::move(given));
  const auto prepare = [](const Batch& batch) {
    return Prepared{{batch.source.begin(), batch.source.end()},
                    {batch.target_in.begin(), batch.target_in.end()}};
  };
  const auto step = [&](const Prepared& batch) {
    dynet::ComputationGraph graph;
    const dynet::Expression loss = model.loss(graph, batch.source, batch.target_in);
    const double value = dynet::as_scalar(graph.forward(loss));
    graph.backward(loss);
    adam.step();
    return value;
  };
  Json out = {{"backend", "dynet"},
              {"size", size.name},
              {"threads", arguments.threads},
              {"params", params.parameter_count()}};
  if (arguments.train_until) {
    train_until(out, arguments, batches, [&](const Batch& batch) { return step(prepare(batch)); });
  } else {
    std::vector<Prepared> prepared;
    while (prepared.size() < batches.kept()) prepared.push_back(prepare(batches.next()));
    TimedRun timed(arguments, std::move(prepared), step);
    timed.warm_up();
    timed.time();
    timed.report(out);
  }
  out["peak_rss_mb"] = peak_rss_mb();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("DyNet as a peer of bench_step: the same program, the same JSON line.");
  Arguments arguments;
  add_options(app, arguments);
  app.add_option("--init", arguments.init, "initial weights and batches, as init_file.py writes them")
      ->type_name("FILE.safetensors");
  CLI11_PARSE(app, argc, argv);
  pin(arguments.threads);
  std::cout << run(arguments).dump() << std::endl;
}
