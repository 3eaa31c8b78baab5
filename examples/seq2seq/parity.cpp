#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/autograd/tape.h>
#include <tapegrad/nn/io/state_dict.h>

#include <cstdio>
#include <filesystem>

#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/parity_input.h"
#include "examples/support/output_file.h"

namespace tapegrad::seq2seq {
using namespace nn;
namespace {

void check_output(const ParityOptions& options) {
  examples::expect_writable_folder("parity: OUT", options.out);
  std::error_code ignored;
  expects(!std::filesystem::equivalent(options.in, options.out, ignored),
          "parity: OUT: got {}, which is the input", in_quotes(options.out));
}

void note(const std::string& path, const std::string& text) {
  if (!text.empty()) std::fputs(fmt::format("seq2seq: {}: {}\n", printable(path), text).c_str(), stderr);
}

std::string unused_text(const std::vector<std::string>& names) {
  return names.empty() ? "" : "not used: " + printable(fmt::format("{}", fmt::join(names, ", ")), 400);
}

}  // namespace

int run_parity(const ParityOptions& options) {
  check_output(options);
  const ParityInput input = read_parity_input(options.in);
  note(options.in, unused_text(input.unused));
  ParameterStore params(0, input.dtype());
  const Transformer model(params.root(), input.options);
  const LoadReport report = load_state_dict(
      params, input.file, {.prefix = "model.", .convert = false, .where = printable(options.in)});
  note(options.in, report.warning());

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
  save_safetensors(options.out, result);
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
