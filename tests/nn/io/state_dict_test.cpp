#include <tapegrad/nn/embedding.h>
#include <tapegrad/nn/io/state_dict.h>
#include <tapegrad/nn/linear.h>

#include <tests/support/errors.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <optional>

namespace tapegrad {
using namespace nn;
namespace {

using test::error_of;
using test::ScratchFolder;

void ones(Tensor& values, RandomKey) { values.fill(1); }

/// Two parameters and a buffer.
struct Plain {
  explicit Plain(DType dtype = DType::f32) : params(1, dtype) {
    weight = (params.root() / "layer").parameter("weight", {2, 2}, ones);
    bias = (params.root() / "layer").parameter("bias", {2}, ones);
    count = params.root().buffer("count", {}, ones);
  }
  ParameterStore params;
  Parameter weight, bias, count;
};

/// An embedding whose weight is the output layer's, too, or not.
struct Words {
  explicit Words(bool is_tied, std::uint64_t seed = 1) : params(seed) {
    const Scope root = params.root();
    embedding.emplace(root / "tgt_emb", 3, 2);
    if (is_tied)
      generator.emplace(root / "generator", tied(embedding->weight));
    else
      generator.emplace(root / "generator", 2, 3);
  }
  ParameterStore params;
  std::optional<Embedding> embedding;
  std::optional<Linear> generator;
};

TensorFile plain_file() {
  return {{{"layer.weight", Tensor::of({{1, 2}, {3, 4}})},
           {"layer.bias", Tensor::of({5, 6}, DType::f64)},
           {"count", Tensor::of(7, DType::bf16)}},
          {}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(state_dict_of_a_store)

BOOST_AUTO_TEST_CASE(every_floating_dtype_is_converted) {
  for (const DType own : {DType::f32, DType::f64})
    for (const DType stored : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
      Plain model(own);
      TensorFile file = plain_file();
      for (auto& [name, value] : file.tensors) value = value.to(stored);
      const LoadReport report = load_state_dict(model.params, file);
      BOOST_TEST((model.weight.dtype() == own));
      BOOST_TEST(model.weight.value().to_vector() == std::vector<double>({1, 2, 3, 4}),
                 boost::test_tools::per_element());
      BOOST_TEST(model.bias.value().at({1}) == 6);
      BOOST_TEST(model.count.value().item() == 7);
      BOOST_TEST(report.warning() == "");
      BOOST_TEST(report.missing.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_state_dict_shares_or_copies) {
  Plain model;
  const TensorFile shared = state_dict(model.params, {.prefix = "model."});
  const TensorFile copied = state_dict(model.params, {.copied = true});
  BOOST_TEST(shared.tensors.size() == 3u);
  BOOST_TEST(shared.metadata.empty());
  model.bias.update([](Tensor& values) { values.fill(9); });
  BOOST_TEST(shared.tensors.at("model.layer.bias").at({0}) == 9);
  BOOST_TEST(copied.tensors.at("layer.bias").at({0}) == 1);
}

BOOST_AUTO_TEST_CASE(one_problem_is_one_line) {
  Plain model;
  const auto problem = [&](auto&& change, LoadOptions options = {}) {
    TensorFile file = plain_file();
    change(file);
    const std::string text = error_of([&] { check_state_dict(model.params, file, options); });
    BOOST_TEST(error_of([&] { load_state_dict(model.params, file, options); }) == text);
    BOOST_TEST(model.weight.value().at({1, 1}) == 1);  // nothing was changed
    BOOST_TEST(model.weight.version() == 0u);
    return text;
  };
  BOOST_TEST(problem([](auto& file) { file.tensors.erase("count"); }) ==
             "state dict: no tensor 'count' of shape []");
  BOOST_TEST(problem(
                 [](auto& file) {
                   file.tensors["extra"] = Tensor({2, 1});
                 },
                 {.where = "f"}) == "f: unknown tensor 'extra' of shape [2, 1]");
  BOOST_TEST(problem([](auto& file) { file.tensors["a\n\x1b"] = Tensor({1}); }) ==
             "state dict: unknown tensor 'a\\n\\u{001B}' of shape [1]");
  BOOST_TEST(problem([](auto& file) { file.tensors["layer.bias"] = Tensor({3}); }) ==
             "state dict: tensor 'layer.bias': got shape [3], expected [2]");
  BOOST_TEST(problem([](auto& file) { file.tensors["layer.bias"] = Tensor({2}, DType::i32); }) ==
             "state dict: tensor 'layer.bias': got i32, expected f64, f32, f16 or bf16");
  BOOST_TEST(problem([](auto&) {}, {.prefix = "count"}).starts_with("state dict: 4 tensors do not fit"));
}

BOOST_AUTO_TEST_CASE(all_problems_are_told_at_once) {
  Plain model;
  TensorFile file{{{"model.layer.wieght", Tensor({2, 2})},
                   {"model.layer.bias", Tensor({2}, DType::u8)},
                   {"optim.layer.weight", Tensor({1})},
                   {"model.count", Tensor({1})},
                   {"model.zzzzzzzzzzzzzzzzzzz", Tensor({3}, DType::i64)}},
                  {}};
  BOOST_TEST(
      error_of([&] { load_state_dict(model.params, file, {.prefix = "model.", .where = "f"}); }) ==
      "f: 5 tensors do not fit the model (1 missing, 2 unexpected, 1 of another shape, 1 of another type):\n"
      "  no tensor 'model.layer.weight' of shape [2, 2]\n"
      "  unknown tensor 'model.layer.wieght' of shape [2, 2]; did you mean 'model.layer.weight'?\n"
      "  unknown tensor 'model.zzzzzzzzzzzzzzzzzzz' of shape [3]\n"
      "  tensor 'model.count': got shape [1], expected []\n"
      "  tensor 'model.layer.bias': got u8, expected f64, f32, f16 or bf16");
  BOOST_TEST(model.bias.version() == 0u);
}

/// A model and a file of `count` tensors each, under other names.
std::string all_differ(int count) {
  ParameterStore params;
  TensorFile file;
  for (int i = 0; i < count; ++i) {
    params.root().parameter(fmt::format("w{:04}", i), {1}, ones);
    file.tensors[fmt::format("another tensor {:04}", i)] = Tensor({1});
  }
  return error_of([&] { load_state_dict(params, file); });
}

BOOST_AUTO_TEST_CASE(every_name_is_told_up_to_a_thousand_of_a_kind) {
  const std::string most = all_differ(1000);
  BOOST_TEST(most.starts_with(
      "state dict: 2000 tensors do not fit the model (1000 missing, 1000 unexpected):\n  no tensor 'w0000'"));
  BOOST_TEST(std::count(most.begin(), most.end(), '\n') == 2000);
  BOOST_TEST(most.find("more") == std::string::npos);
  BOOST_TEST(most.ends_with("  unknown tensor 'another tensor 0999' of shape [1]"));
  const std::string cut = all_differ(1003);
  BOOST_TEST(cut.find("  no tensor 'w0999' of shape [1]\n  … and 3 more missing\n"
                      "  unknown tensor 'another tensor 0000'") != std::string::npos);
  BOOST_TEST(cut.ends_with("  unknown tensor 'another tensor 0999' of shape [1]\n  … and 3 more unexpected"));
}

BOOST_AUTO_TEST_CASE(conversion_can_be_refused) {
  Plain model;
  TensorFile file = plain_file();
  BOOST_TEST(error_of([&] { load_state_dict(model.params, file, {.convert = false}); }) ==
             "state dict: 2 tensors do not fit the model (2 of another type):\n"
             "  tensor 'layer.bias': got f64, expected f32\n"
             "  tensor 'count': got bf16, expected f32");
  for (auto& [name, value] : file.tensors) value = value.to(DType::f32);
  BOOST_TEST(load_state_dict(model.params, file, {.convert = false}).missing.empty());
}

BOOST_AUTO_TEST_CASE(missing_and_extra_can_be_allowed) {
  Plain model;
  TensorFile file = plain_file();
  file.tensors.erase("layer.bias");
  file.tensors["extra"] = Tensor({1});
  const LoadReport report = load_state_dict(model.params, file, {.allow_missing = true, .allow_extra = true});
  BOOST_TEST(report.missing == std::vector<std::string>{"layer.bias"}, boost::test_tools::per_element());
  BOOST_TEST(report.unexpected == std::vector<std::string>{"extra"}, boost::test_tools::per_element());
  BOOST_TEST(model.bias.value().at({0}) == 1);
  BOOST_TEST(model.weight.value().at({1, 1}) == 4);
  BOOST_TEST(error_of([&] { load_state_dict(model.params, file, {.allow_missing = true}); }) ==
             "state dict: unknown tensor 'extra' of shape [1]");
  BOOST_TEST(error_of([&] { load_state_dict(model.params, file, {.allow_extra = true}); }) ==
             "state dict: no tensor 'layer.bias' of shape [2]");
}

BOOST_AUTO_TEST_CASE(values_that_are_not_finite_are_counted) {
  Plain model;
  TensorFile file = plain_file();
  file.tensors["layer.weight"] =
      Tensor::of({{std::nan(""), 1}, {-std::numeric_limits<double>::infinity(), 2}});
  file.tensors["layer.bias"] = Tensor::of({1e300, 0}, DType::f64);  // no f32
  const LoadReport report = load_state_dict(model.params, file);
  BOOST_TEST(report.non_finite == 3);
  BOOST_TEST(report.warning() == "3 NaN or infinite values in 2 tensors: 'layer.weight', 'layer.bias'");
}

BOOST_AUTO_TEST_CASE(a_tied_tensor_is_saved_once) {
  Words model(true);
  const TensorFile file = state_dict(model.params, {.prefix = "m."});
  BOOST_TEST(file.tensors.size() == 2u);
  BOOST_TEST(file.tensors.contains("m.tgt_emb.weight"));
  BOOST_TEST(file.tensors.contains("m.generator.bias"));
  BOOST_TEST(file.metadata.size() == 1u);
  BOOST_TEST(file.metadata.at("m.generator.weight") == "m.tgt_emb.weight");
  const ScratchFolder folder;
  save_weights(folder / "f", model.params);
  Words other(true, 2);
  const LoadReport report = load_weights(folder / "f", other.params);
  BOOST_TEST(report.missing.empty());
  BOOST_TEST(identical(other.embedding->weight.value(), model.embedding->weight.value()));
  BOOST_TEST(load_safetensors(folder / "f").metadata.at("format") == "pt");
  Plain wrong;
  BOOST_TEST(folder.without(error_of([&] { load_weights(folder / "f", wrong.params); }))
                 .starts_with("f: 5 tensors do not fit the model (3 missing, 2 unexpected):\n"));
}

BOOST_AUTO_TEST_CASE(a_tied_model_of_pytorch_is_read) {
  const std::string golden = TAPEGRAD_SOURCE_DIR "/tests/nn/io/golden/tied.safetensors";
  BOOST_TEST(load_safetensors(golden).tensors.size() == 2u);  // as save_model wrote it: one of two names
  for (const bool is_tied : {true, false}) {
    Words model(is_tied);
    load_weights(golden, model.params);
    const std::vector<double> expected = {1, 2, 3, 4, 5, 6};
    BOOST_TEST(model.embedding->weight.value().to_vector() == expected, boost::test_tools::per_element());
    BOOST_TEST(model.generator->weight.value().to_vector() == expected, boost::test_tools::per_element());
    BOOST_TEST(model.generator->bias.value().at({2}) == 9);
  }
}

BOOST_AUTO_TEST_CASE(ties_are_honoured_in_every_direction) {
  const Tensor values = Tensor::of({{1, 2}, {3, 4}, {5, 6}}), bias = Tensor::of({7, 8, 9});
  const auto loads = [&](bool is_tied, const TensorFile& file) {
    Words model(is_tied);
    TensorFile whole = file;
    whole.tensors["generator.bias"] = bias;
    const std::string error = error_of([&] { load_state_dict(model.params, whole); });
    if (error != "no error") return error;
    BOOST_TEST(identical(model.embedding->weight.value(), values));
    BOOST_TEST(identical(model.generator->weight.value(), values));
    return error;
  };
  const std::string emb = "tgt_emb.weight", gen = "generator.weight";
  for (const bool is_tied : {true, false}) {
    BOOST_TEST(loads(is_tied, {{{emb, values}}, {{gen, emb}}}) == "no error");
    BOOST_TEST(loads(is_tied, {{{gen, values}}, {{emb, gen}}}) == "no error");
    BOOST_TEST(loads(is_tied, {{{emb, values}, {gen, values.clone()}}, {}}) == "no error");
    BOOST_TEST(loads(is_tied, {{{"a", values}}, {{emb, "a"}, {gen, "a"}}}) == "no error");
  }
  BOOST_TEST(loads(true, {{{emb, values}}, {}}) == "no error");
  BOOST_TEST(loads(true, {{{gen, values}}, {}}) == "no error");
  BOOST_TEST(loads(false, {{{emb, values}}, {}}) ==
             "state dict: no tensor 'generator.weight' of shape [3, 2]");
  BOOST_TEST(loads(false, {{{emb, values}}, {{gen, "nothing"}}}) ==
             "state dict: no tensor 'generator.weight' of shape [3, 2]");
  BOOST_TEST(loads(true, {{}, {{gen, emb}}}) == "state dict: no tensor 'tgt_emb.weight' of shape [3, 2]");
  Tensor changed = values.clone();
  changed.data<float>()[0] = -1;
  BOOST_TEST(loads(true, {{{emb, values}, {gen, changed}}, {}}) ==
             "state dict: tensors 'tgt_emb.weight' and 'generator.weight': different values, but they are "
             "one parameter");
}

BOOST_AUTO_TEST_CASE(ties_of_the_metadata_are_told_and_stay_within_the_prefix) {
  Plain model;
  TensorFile file = plain_file();
  file.tensors.erase("layer.bias");
  const auto problem = [&](const LoadOptions& options) {
    return error_of([&] { load_state_dict(model.params, file, options); });
  };
  file.metadata["layer.bias"] = "layer.weight";
  BOOST_TEST(problem({}) ==
             "state dict: tensor 'layer.weight', tied to 'layer.bias' by the metadata: got shape [2, 2], "
             "expected [2]");
  file.tensors["flags"] = Tensor({2}, DType::boolean);
  file.metadata["layer.bias"] = "flags";
  BOOST_TEST(problem({}) ==
             "state dict: tensor 'flags', tied to 'layer.bias' by the metadata: got boolean, expected f64, "
             "f32, f16 or bf16");

  TensorFile part = state_dict(model.params, {.prefix = "model.", .copied = true});
  part.tensors["bias"] = part.tensors.extract("model.layer.bias").mapped();
  part.metadata["model.layer.bias"] = "bias";
  file = part;
  BOOST_TEST(problem({.prefix = "model."}) == "state dict: no tensor 'model.layer.bias' of shape [2]");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
