#include <tapegrad/nn/io/state_dict.h>
#include <tapegrad/nn/transformer.h>

#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::test;

namespace {

/// A small file that `bin/parity` takes, to be spoilt.
struct Example {
  ScratchFolder folder;
  std::string in = folder / "in.safetensors", out = folder / "out.safetensors";
  TensorFile file;

  explicit Example(DType dtype = DType::f32) {
    ParameterStore params(1, dtype);
    const Transformer model(
        params.root(),
        {.d_model = 4, .nhead = 2, .num_encoder_layers = 1, .num_decoder_layers = 1, .dim_feedforward = 3});
    file = state_dict(params, {.prefix = "model.", .copied = true});
    file.tensors["src"] = Tensor::full({2, 3, 4}, 0.5, dtype);
    file.tensors["tgt"] = Tensor::full({2, 5, 4}, -0.5, dtype);
    file.tensors["dout"] = Tensor::full({2, 5, 4}, 1, dtype);
    file.metadata = {{"d_model", "4"},
                     {"nhead", "2"},
                     {"num_encoder_layers", "1"},
                     {"num_decoder_layers", "1"},
                     {"dim_feedforward", "3"},
                     {"activation", "relu"},
                     {"norm_first", "False"},
                     {"layer_norm_eps", "1e-05"},
                     {"bias", "True"},
                     {"tgt_is_causal", "True"}};
  }
  ProgramResult run(const std::vector<std::string>& arguments) const {
    return run_program("parity", arguments);
  }
  ProgramResult run() const {
    save_safetensors(in, file);
    return run({in, out});
  }
  /// The one message, and no output.
  void refused(int code, const std::string& message) const { refused(run(), code, message); }
  void refused(const ProgramResult& result, int code, const std::string& message) const {
    BOOST_TEST(result.code == code, result.err);
    BOOST_TEST(folder.without(result.err) == "parity: " + message + "\n");
    BOOST_TEST(result.out == "");
    BOOST_TEST(!std::filesystem::exists(out));
  }
  TensorFile result() const {
    const ProgramResult ran = run();
    BOOST_TEST_REQUIRE(ran.code == 0, ran.err);
    return load_safetensors(out);
  }
};

double largest(const Tensor& x) {
  double found = 0;
  for (const double value : x.to_vector()) found = std::max(found, std::abs(value));
  return found;
}

double difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  BOOST_TEST_REQUIRE((a.shape() == b.shape()));
  double found = 0;
  for (std::size_t i = 0; i < x.size(); ++i) found = std::max(found, std::abs(x[i] - y[i]));
  return found;
}

/// PyTorch's own file, in f64 as it is or rounded to f32, through the program.
void round_trip(const std::string& name, DType dtype) {
  Example example;
  const TensorFile golden =
      load_safetensors(fmt::format("{}/tests/parity/golden/{}.safetensors", TAPEGRAD_SOURCE_DIR, name));
  example.file.tensors.clear();
  example.file.metadata = golden.metadata;
  std::map<std::string, Tensor> expected;
  double largest_gradient = 0;
  for (const auto& [path, tensor] : golden.tensors) {
    if (path == "out" || path.starts_with("grad.")) {
      expected[path] = tensor;
      if (path != "out") largest_gradient = std::max(largest_gradient, largest(tensor));
    } else if (path != "loss" && path != "memory") {
      example.file.tensors[path] = tensor.dtype() == DType::f64 ? tensor.to(dtype) : tensor;
    }
  }
  const TensorFile result = example.result();
  BOOST_TEST(result.tensors.size() == expected.size());
  const double limit = dtype == DType::f64 ? 1e-12 : 2e-5;
  for (const auto& [path, tensor] : expected) {
    BOOST_TEST_REQUIRE(result.tensors.contains(path), path);
    const Tensor& ours = result.tensors.at(path);
    BOOST_TEST((ours.dtype() == dtype));
    const double scale = path == "out" ? largest(tensor) : largest_gradient;
    BOOST_TEST(difference(ours, tensor) <= limit * scale, name << ": " << path);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_program)

BOOST_AUTO_TEST_CASE(the_files_of_pytorch) {
  for (const char* name :
       {"transformer_step_post_relu", "transformer_step_pre_gelu", "transformer_step_bare"})
    for (const DType dtype : {DType::f64, DType::f32}) round_trip(name, dtype);
}

BOOST_AUTO_TEST_CASE(masks_of_either_type_and_what_they_block) {
  Example example;
  const Tensor open = example.result().tensors.at("out");
  Tensor blocked({2, 3}, DType::boolean);
  blocked.data<std::uint8_t>()[2] = 1;
  example.file.tensors["memory_key_padding_mask"] = blocked;
  // Equal tokens: which of them is blocked cannot show, so the third of row 0 must differ.
  example.file.tensors["src"].data<float>()[8] = 3;
  const Tensor boolean = example.result().tensors.at("out");
  example.file.tensors["memory_key_padding_mask"] = blocked.to(DType::u8);
  BOOST_TEST(identical(example.result().tensors.at("out"), boolean));
  example.file.tensors.erase("memory_key_padding_mask");
  BOOST_TEST(!identical(example.result().tensors.at("out"), boolean));
  BOOST_TEST((open.shape() == Shape{2, 5, 4}));
}

BOOST_AUTO_TEST_CASE(zeros_where_nothing_depends) {
  Example example(DType::f64);
  example.file.metadata["num_decoder_layers"] = "0";
  std::erase_if(example.file.tensors,
                [](const auto& item) { return item.first.starts_with("model.decoder.layers."); });
  const TensorFile result = example.result();
  BOOST_TEST(largest(result.tensors.at("grad.src")) == 0);
  const Tensor& unreached = result.tensors.at("grad.model.encoder.layers.0.linear1.weight");
  BOOST_TEST((unreached.shape() == Shape{3, 4} && unreached.dtype() == DType::f64));
  BOOST_TEST(largest(unreached) == 0);
  BOOST_TEST(largest(result.tensors.at("grad.model.decoder.norm.bias")) == 10);
}

BOOST_FIXTURE_TEST_CASE(what_is_not_used_is_said, Example) {
  file.tensors["pos"] = Tensor({2});
  file.tensors["extra\n"] = Tensor({2});
  file.metadata["dropout"] = "0.1";
  file.metadata["batch_first"] = "True";
  file.tensors["model.decoder.norm.bias"].data<float>()[0] = std::nanf("");
  const ProgramResult ran = run();
  BOOST_TEST(ran.code == 0);
  BOOST_TEST(folder.without(ran.err) ==
             "parity: in.safetensors: not used: extra\\n, pos, metadata dropout\n"
             "parity: in.safetensors: 1 NaN or infinite values in 1 tensors: 'decoder.norm.bias'\n");
}

BOOST_FIXTURE_TEST_CASE(wrong_use, Example) {
  refused(run({}), 2, "IN is required");
  refused(run({in}), 2, "OUT is required");
  refused(run({in, out, out}), 2, "unexpected argument \"out.safetensors\"");
  refused(run({in, folder / "none/x"}), 2, "OUT: no folder none");
  save_safetensors(in, file);
  const ProgramResult same = run({in, in});
  BOOST_TEST(same.code == 2);
  BOOST_TEST(same.err.ends_with(", which is the input\n"), same.err);
  refused(run({folder / "nothing", out}), 65, "nothing: cannot be opened: No such file or directory");
}

BOOST_FIXTURE_TEST_CASE(metadata_all_at_once, Example) {
  file.metadata.erase("bias");
  refused(65, "in.safetensors: no metadata \"bias\"");
  file.metadata["d_model"] = "4.0";
  file.metadata["nhead"] = "0";
  file.metadata["num_decoder_layers"] = "";
  file.metadata["dim_feedforward"] = "70000";
  file.metadata["activation"] = "GELU";
  file.metadata["layer_norm_eps"] = "1e-05 ";
  file.metadata["norm_first"] = "true";
  file.metadata["tgt_is_causal"] = "1";
  refused(65,
          "in.safetensors: 9 problems:\n"
          "  metadata d_model: got 4.0, expected a whole number from 1 to 65536\n"
          "  metadata nhead: got 0, expected a whole number from 1 to 65536\n"
          "  metadata num_decoder_layers: got \"\", expected a whole number from 0 to 65536\n"
          "  metadata dim_feedforward: got 70000, expected a whole number from 1 to 65536\n"
          "  metadata activation: got \"GELU\", expected relu or gelu\n"
          "  metadata layer_norm_eps: got \"1e-05 \", expected a number of at least 0\n"
          "  metadata norm_first: got \"true\", expected False or True\n"
          "  no metadata \"bias\"\n"
          "  metadata tgt_is_causal: got \"1\", expected False or True");
  Example other;
  other.file.metadata["nhead"] = "3";
  other.refused(65, "in.safetensors: metadata nhead: got \"3\", expected a divisor of d_model = 4");
  Example sequence_first;
  sequence_first.file.metadata["batch_first"] = "False";
  sequence_first.refused(65, "in.safetensors: metadata batch_first: got \"False\", expected True");
}

BOOST_FIXTURE_TEST_CASE(shapes_and_types_all_at_once, Example) {
  file.tensors["tgt"] = Tensor({3, 5, 4});
  file.tensors["dout"] = Tensor({2, 5, 4}, DType::f64);
  file.tensors["src_key_padding_mask"] = Tensor({2, 4}, DType::boolean);
  file.tensors["memory_key_padding_mask"] = Tensor({2, 3});
  file.tensors["tgt_padding_mask"] = file.tensors["attn_mask"] = Tensor({2, 5}, DType::boolean);
  refused(65,
          "in.safetensors: 6 problems:\n"
          "  unknown tensor \"attn_mask\", masks are src_key_padding_mask, tgt_key_padding_mask, "
          "memory_key_padding_mask, and metadata tgt_is_causal\n"
          "  unknown tensor \"tgt_padding_mask\", did you mean \"tgt_key_padding_mask\"?\n"
          "  tensor 'dout': got f64, expected f32, as 'src'\n"
          "  tensor 'tgt': got shape [3, 5, 4], expected [2, target, 4]\n"
          "  tensor 'src_key_padding_mask': got shape [2, 4], expected [2, 3]\n"
          "  tensor 'memory_key_padding_mask': got f32, expected U8 or BOOL, 1 = blocked");
}

BOOST_FIXTURE_TEST_CASE(inputs_that_are_missing_or_empty, Example) {
  file.tensors.erase("src");
  file.tensors["tgt"] = Tensor({2, 0, 4});
  refused(65,
          "in.safetensors: 2 problems:\n"
          "  no tensor 'src' of shape [batch, source, 4]\n"
          "  tensor 'tgt': got shape [2, 0, 4], expected [batch, target, 4]");
  file.tensors["tgt"] = Tensor::full({2, 5, 4}, 1, DType::f64);
  BOOST_TEST(folder.without(run().err).starts_with(
      "parity: in.safetensors: 3 problems:\n"
      "  tensor 'dout': got f32, expected f64, as 'tgt'\n"
      "  no tensor 'src' of shape [batch, source, 4]\n"
      "  state dict: 34 tensors do not fit the model (34 of another type):\n    tensor 'model."));
  Example other;
  other.file.tensors["src"] = other.file.tensors["src"].to(DType::f16);
  other.refused(65, "in.safetensors: tensor 'src': got f16, expected f32 or f64");
  Example mask;
  mask.file.tensors["tgt_key_padding_mask"] = Tensor::full({2, 5}, 2, DType::u8);
  mask.refused(65,
               "in.safetensors: tensor 'tgt_key_padding_mask': got 2 at [0, 0], expected 0 or 1 (blocked)");
}

BOOST_FIXTURE_TEST_CASE(the_state_dict_is_strict, Example) {
  file.tensors.erase("model.encoder.norm.bias");
  refused(65, "in.safetensors: no tensor 'model.encoder.norm.bias' of shape [4]");
  file.tensors["model.encoder.norm.gain"] = Tensor({4});
  file.tensors["model.decoder.layers.0.linear1.weight"] = Tensor({4, 3});
  refused(65,
          "in.safetensors: 3 tensors do not fit the model (1 missing, 1 unexpected, 1 of another shape):\n"
          "  no tensor 'model.encoder.norm.bias' of shape [4]\n"
          "  unknown tensor 'model.encoder.norm.gain' of shape [4]; did you mean 'model.encoder.norm.bias'?\n"
          "  tensor 'model.decoder.layers.0.linear1.weight': got shape [4, 3], expected [3, 4]");
}

BOOST_FIXTURE_TEST_CASE(a_wrong_dtype_hides_nothing, Example) {
  file.tensors["model.decoder.norm.bias"] = Tensor({4}, DType::f64);
  refused(65, "in.safetensors: tensor 'model.decoder.norm.bias': got f64, expected f32");
  file.tensors.erase("model.encoder.norm.bias");
  refused(65,
          "in.safetensors: 2 tensors do not fit the model (1 missing, 1 of another type):\n"
          "  no tensor 'model.encoder.norm.bias' of shape [4]\n"
          "  tensor 'model.decoder.norm.bias': got f64, expected f32");
  file.tensors["dout"] = Tensor({2, 5, 4}, DType::i64);
  refused(65,
          "in.safetensors: 2 problems:\n"
          "  tensor 'dout': got i64, expected f32 or f64\n"
          "  state dict: 2 tensors do not fit the model (1 missing, 1 of another type):\n"
          "    no tensor 'model.encoder.norm.bias' of shape [4]\n"
          "    tensor 'model.decoder.norm.bias': got f64, expected f32");
}

BOOST_FIXTURE_TEST_CASE(a_small_file_that_claims_a_huge_network, Example) {
  file.metadata["num_encoder_layers"] = "60000";
  refused(65,
          "in.safetensors: the metadata call for a network of 5280152 weights, but the tensors under "
          "\"model.\" hold 358 values");
}

BOOST_AUTO_TEST_SUITE_END()
