// PyTorch's C++ interface running the program of peer_bench.py; prints its JSON line.
#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>

#include "../program/measure.h"

namespace {

using namespace tapegrad::bench;

struct Seq2SeqImpl : torch::nn::Module {
  explicit Seq2SeqImpl(const Size& c) : scale(std::sqrt(static_cast<double>(c.d_model))) {
    namespace nn = torch::nn;
    src_emb = register_module("src_emb", nn::Embedding(c.vocabulary, c.d_model));
    tgt_emb = register_module("tgt_emb", nn::Embedding(c.vocabulary, c.d_model));
    transformer = register_module(
        "transformer", nn::Transformer(nn::TransformerOptions(c.d_model, c.heads, c.layers, c.layers)
                                           .dim_feedforward(c.ff)
                                           .dropout(0.0)
                                           .activation(torch::kReLU)));
    generator = register_module("generator", nn::Linear(c.d_model, c.vocabulary));
    const auto position = torch::arange(c.length, torch::kFloat).unsqueeze(1);
    const auto rate = torch::exp(torch::arange(0, c.d_model, 2, torch::kFloat) *
                                 (-std::log(10000.0) / static_cast<double>(c.d_model)));
    pe = torch::stack({torch::sin(position * rate), torch::cos(position * rate)}, 2)
             .reshape({c.length, 1, c.d_model});
    mask = nn::TransformerImpl::generate_square_subsequent_mask(c.length);
    initialise();
  }

  void initialise() {
    const torch::NoGradGuard no_grad;
    for (auto& item : named_parameters()) {
      const std::string& name = item.key();
      if (name.find("_emb.") != std::string::npos)
        torch::nn::init::normal_(item.value(), 0.0, 1.0 / scale);
      else if (item.value().dim() > 1)
        torch::nn::init::xavier_uniform_(item.value());
      else if (name.ends_with("bias"))
        torch::nn::init::zeros_(item.value());
    }
  }

  // ids [length, batch]: torch::nn::Transformer has no batch_first
  torch::Tensor forward(const torch::Tensor& source, const torch::Tensor& target_in) {
    const auto x = src_emb(source) * scale + pe, y = tgt_emb(target_in) * scale + pe;
    const auto logits = generator(transformer(x, y, torch::Tensor(), mask));
    return torch::nn::functional::cross_entropy(logits.flatten(0, 1), source.flatten());
  }

  torch::nn::Embedding src_emb{nullptr}, tgt_emb{nullptr};
  torch::nn::Transformer transformer{nullptr};
  torch::nn::Linear generator{nullptr};
  torch::Tensor pe, mask;
  double scale;
};
TORCH_MODULE(Seq2Seq);

/// Sets the parameters from a dict that `torch.save` wrote; returns the batches in it.
std::vector<Batch> load_init(const std::string& path, Seq2Seq& model, const Size& size) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto state = torch::pickle_load(bytes).toGenericDict();
  const torch::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) item.value().copy_(state.at(item.key()).toTensor());
  std::vector<Batch> batches;
  if (!state.contains("data.source")) return batches;
  const auto data = state.at("data.source").toTensor().to(torch::kLong).contiguous();
  const auto* id = data.data_ptr<std::int64_t>();
  for (std::int64_t step = 0; step < data.size(0); ++step, id += size.tokens())
    batches.emplace_back(std::vector<std::int64_t>(id, id + size.tokens()), size.length);
  return batches;
}

struct Prepared {
  torch::Tensor source, target_in;
};

Json run(const Arguments& arguments) {
  const Size size = arguments.size();
  torch::set_num_threads(arguments.threads);
  torch::manual_seed(arguments.seed);
  Seq2Seq model(size);
  model->train();
  std::vector<Batch> given;
  if (!arguments.init.empty()) given = load_init(arguments.init, model, size);
  torch::optim::Adam adam(model->parameters(), torch::optim::AdamOptions(1e-3));
  Batches batches(size, arguments.seed, std::move(given));
  const auto prepare = [&](const Batch& batch) {
    const auto tensor = [&](const std::vector<std::int64_t>& ids) {
      return torch::tensor(ids, torch::kLong).view({size.batch, size.length}).t().contiguous();
    };
    return Prepared{tensor(batch.source), tensor(batch.target_in)};
  };
  const auto step = [&](const Prepared& batch) {
    adam.zero_grad();
    const auto loss = model->forward(batch.source, batch.target_in);
    loss.backward();
    adam.step();
    return static_cast<double>(loss.item<float>());
  };
  std::int64_t parameters = 0;
  for (const auto& p : model->parameters()) parameters += p.numel();
  Json out = {
      {"backend", "libtorch"}, {"size", size.name}, {"threads", arguments.threads}, {"params", parameters}};
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
  CLI::App app("LibTorch as a peer of bench_step: the same program, the same JSON line.");
  Arguments arguments;
  add_options(app, arguments);
  app.add_option("--init", arguments.init, "initial weights and batches, as init_file.py writes them")
      ->type_name("FILE.pt");
  CLI11_PARSE(app, argc, argv);
  pin(arguments.threads);
  setenv("OMP_NUM_THREADS", std::to_string(arguments.threads).c_str(), 1);
  std::cout << run(arguments).dump() << std::endl;
}
