#include "examples/seq2seq/model.h"

#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "examples/seq2seq/json.h"
#include "examples/seq2seq/option_fields.h"

namespace tapegrad::seq2seq {
using namespace nn;
namespace {

Seq2SeqOptions network_options(const TrainOptions& c, const Vocabulary& source, const Vocabulary& target) {
  return {.source_vocabulary = source.size(),
          .target_vocabulary = target.size(),
          .transformer = {.d_model = c.d_model,
                          .nhead = c.heads,
                          .num_encoder_layers = c.encoder_layers,
                          .num_decoder_layers = c.decoder_layers,
                          .dim_feedforward = c.ff,
                          .dropout = c.dropout,
                          .activation = c.activation == "gelu" ? Activation::gelu : Activation::relu,
                          .norm_first = c.norm_first},
          .positions = c.positions == "learned" ? Positions::learned : Positions::sinusoidal,
          .max_length = c.max_length + 2,
          .tie_embeddings = c.tie_embeddings,
          .pad = Vocabulary::pad};
}

Vocabulary read_vocabulary(const std::map<std::string, std::string>& metadata, const std::string& key,
                           const std::string& where) {
  const std::string place = fmt::format("{}: {}", where, key);
  std::vector<std::string> tokens = parse_json_strings(required(metadata, key, where), place);
  try {
    return Vocabulary::from_tokens(std::move(tokens));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", place, error.what()));
  }
}

/// Number of values that a configuration may have beyond those in the file before it is refused.
constexpr double spare_values = 1 << 20;

/// Checks the sizes of a network against a few tensors that determine them, each layer by one of its own.
/// Refuses a network much larger than its file before memory is allocated; smaller mismatches are left to
/// loading, which lists them all.
class SizeCheck {
 public:
  SizeCheck(const TensorFile& file, const LoadOptions& options) : file_(file), options_(options) {
    for (const auto& [name, value] : file.tensors) room_ += static_cast<double>(value.size());
  }

  void expect(const std::string& path, const Shape& shape) {
    const std::string name = options_.prefix + path;
    const auto at = file_.tensors.find(name);
    if (problem_.empty() && at == file_.tensors.end())
      problem_ = fmt::format("no tensor '{}' of shape {}", name, shape);
    else if (problem_.empty() && at->second.shape() != shape)
      problem_ = fmt::format("tensor '{}': got shape {}, expected {}", name, at->second.shape(), shape);
    room_ -= std::max(static_cast<double>(shape.size()), 4096.0);  // a small layer needs memory, too
    if (room_ < 0 && !problem_.empty()) throw DataError(fmt::format("{}: {}", options_.where, problem_));
  }

 private:
  const TensorFile& file_;
  const LoadOptions& options_;
  double room_ = spare_values;
  std::string problem_;
};

void check_sizes(const TrainOptions& c, const Vocabulary& source, const Vocabulary& target,
                 const TensorFile& file, const LoadOptions& options) {
  SizeCheck sizes(file, options);
  const auto expect_layer = [&](const std::string& layer, std::initializer_list<const char*> attentions) {
    for (const char* attention : attentions)
      sizes.expect(fmt::format("transformer.{}.{}.in_proj_weight", layer, attention),
                   {3 * c.d_model, c.d_model});
    sizes.expect(fmt::format("transformer.{}.linear1.weight", layer), {c.ff, c.d_model});
  };
  sizes.expect("src_emb.weight", {source.size(), c.d_model});
  sizes.expect("tgt_emb.weight", {target.size(), c.d_model});
  if (!c.tie_embeddings) sizes.expect("generator.weight", {target.size(), c.d_model});
  if (c.positions == "learned")
    for (const char* name : {"src_pos.weight", "tgt_pos.weight"})
      sizes.expect(name, {c.max_length + 2, c.d_model});
  for (Index i = 0; i < c.encoder_layers; ++i)
    expect_layer(fmt::format("encoder.layers.{}", i), {"self_attn"});
  for (Index i = 0; i < c.decoder_layers; ++i)
    expect_layer(fmt::format("decoder.layers.{}", i), {"self_attn", "multihead_attn"});
}

std::string model_file(const std::string& folder) {
  return (std::filesystem::path(folder) / "model.safetensors").string();
}

}  // namespace

Model::Model(const TrainOptions& c, Vocabulary source_vocabulary, Vocabulary target_vocabulary, Index longest)
    : config(c),
      source_tokens(c.source_tokens),
      target_tokens(c.target_tokens),
      source(std::move(source_vocabulary)),
      target(std::move(target_vocabulary)),
      longest_output(longest),
      params(c.seed),
      network(params.root(), network_options(c, source, target)) {}

std::vector<Index> Model::encode_source(const std::string& text) const {
  std::vector<Index> ids = source.encode(source_tokens.split(text));
  if (!ids.empty()) ids.push_back(Vocabulary::eos);
  return ids;
}

std::string Model::spell(std::span<const Index> ids) const { return target_tokens.join(target.decode(ids)); }

std::map<std::string, std::string> describe(const Model& model) {
  return {{"program", "tapegrad seq2seq"},
          {"config", to_json(model.config)},
          {"source_vocabulary", to_json(model.source.tokens())},
          {"target_vocabulary", to_json(model.target.tokens())},
          {"longest_output", fmt::format("{}", model.longest_output)}};
}

const std::string& required(const std::map<std::string, std::string>& metadata, const std::string& key,
                            const std::string& where) {
  const auto at = metadata.find(key);
  if (at == metadata.end())
    throw DataError(
        fmt::format("{}: no metadata \"{}\", expected a file written by seq2seq train", where, key));
  return at->second;
}

std::unique_ptr<Model> read_model(const TensorFile& file, const LoadOptions& options) {
  const std::string& where = options.where;
  TrainOptions config;
  from_json(config, required(file.metadata, "config", where), where + ": config");
  Vocabulary source = read_vocabulary(file.metadata, "source_vocabulary", where);
  Vocabulary target = read_vocabulary(file.metadata, "target_vocabulary", where);
  Index longest = 0;
  try {
    resolve(config);
    longest = parse_integer(required(file.metadata, "longest_output", where),
                            {.low = 1, .high = static_cast<double>(config.max_length)}, "longest_output");
  } catch (const DataError&) {
    throw;
  } catch (const Error& error) {
    throw DataError(fmt::format("{}: {}", where, error.what()));
  }
  check_sizes(config, source, target, file, options);
  auto model = std::make_unique<Model>(config, std::move(source), std::move(target), longest);
  warn_of(load_state_dict(model->params, file, options), where);
  return model;
}

void warn_of(const LoadReport& loaded, const std::string& where) {
  if (loaded.non_finite > 0) fmt::print(stderr, "seq2seq: warning: {}: {}\n", where, loaded.warning());
}

void save_model(const std::string& folder, const Model& model, TensorFile weights) {
  weights.metadata.merge(describe(model));
  save_safetensors(model_file(folder), weights);
}

std::unique_ptr<Model> load_model(const std::string& folder) {
  const std::string path = model_file(folder);
  return read_model(load_safetensors(path), {.where = printable(path)});
}

}  // namespace tapegrad::seq2seq
