// Runs a Transformer with the weights of PyTorch's nn.Transformer forwards and backwards, from and to files,
// for comparison with PyTorch.
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/autograd/tape.h>
#include <tapegrad/nn/io/state_dict.h>

#include <filesystem>

#include "examples/support/cli.h"
#include "examples/support/output_file.h"
#include "tests/parity/program/parity_input.h"

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

const char* const about =
    "Runs a Transformer with the weights of PyTorch's nn.Transformer forwards and backwards.\n\n"
    "IN holds its state dict under model., the inputs src and tgt [batch, time, d_model], the cotangent\n"
    "dout of the result, and where wanted src_key_padding_mask, tgt_key_padding_mask and\n"
    "memory_key_padding_mask [batch, time] (U8 or BOOL, 1 = blocked), all else F32 or all F64. Its\n"
    "metadata, all strings: d_model, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward,\n"
    "activation (relu or gelu), layer_norm_eps, and norm_first, bias, tgt_is_causal (True or False);\n"
    "batch_first may be given, as True.\n"
    "OUT gets out, grad.src, grad.tgt and grad.model.NAME for every parameter, of the scalar <out, dout>.";

void note(const std::string& path, const std::string& text) {
  if (!text.empty()) fmt::print(stderr, "parity: {}: {}\n", printable(path), text);
}

std::string unused_text(const std::vector<std::string>& names) {
  return names.empty() ? "" : "not used: " + printable(fmt::format("{}", fmt::join(names, ", ")), 400);
}

void run(const std::string& in, const std::string& out_file) {
  examples::expect_writable_folder("OUT", out_file);
  std::error_code ignored;
  expects(!std::filesystem::equivalent(in, out_file, ignored), "OUT: got {}, which is the input",
          in_quotes(out_file));
  const test::ParityInput input = test::read_parity_input(in);
  note(in, unused_text(input.unused));
  ParameterStore params(0, input.dtype());
  const Transformer model(params.root(), input.options);
  const LoadReport report =
      load_state_dict(params, input.file, {.prefix = "model.", .convert = false, .where = printable(in)});
  note(in, report.warning());

  Tape tape({.dtype = input.dtype()});
  const Var src = tape.variable(input.src), tgt = tape.variable(input.tgt);
  const Var out = model(src, tgt, input.masks);
  const Gradients g = tape.backward(out, {.cotangent = input.dout});

  TensorFile result;
  // A network without layers on one side need not read that side.
  const auto gradient = [&](const auto& of, const Shape& shape) {
    return g.contains(of) ? g[of] : Tensor::zeros(shape, input.dtype());
  };
  result.tensors["out"] = out.value();
  result.tensors["grad.src"] = gradient(src, src.shape());
  result.tensors["grad.tgt"] = gradient(tgt, tgt.shape());
  for (const Parameter& p : params) result.tensors["grad.model." + p.path()] = gradient(p, p.shape());
  save_safetensors(out_file, result);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(about);
  std::string in, out;
  app.add_option("IN", in, "a .safetensors file")->required();
  app.add_option("OUT", out, "the .safetensors file to write")->required();
  return examples::run_program("parity", app, argc, argv, [&] { run(in, out); });
}
