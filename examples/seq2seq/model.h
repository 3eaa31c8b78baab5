/// A trained network with its tokenizers and vocabularies, and its file.
#pragma once
#include <tapegrad/nn/data/tokens.h>
#include <tapegrad/nn/data/vocabulary.h>
#include <tapegrad/nn/io/state_dict.h>
#include <tapegrad/nn/seq2seq.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "examples/seq2seq/options.h"

namespace tapegrad::seq2seq {

/// A network with the tokenizers and vocabularies that turn text into its ids and back.
struct Model {
  /// A new network initialised from `config.seed`; decoding writes at most `longest_output` tokens.
  Model(const TrainOptions& config, Vocabulary source, Vocabulary target, Index longest_output);

  /// Ids of a source's tokens, then eos; none for a text without tokens.
  std::vector<Index> encode_source(const std::string& text) const;
  /// The text of an output.
  std::string spell(std::span<const Index> ids) const;

  TrainOptions config;
  Tokenizer source_tokens, target_tokens;
  Vocabulary source, target;
  Index longest_output;
  ParameterStore params;
  nn::Seq2Seq network;
};

/// The metadata that `read_model` needs: config, vocabularies, longest output.
std::map<std::string, std::string> describe(const Model& model);
/// Reads the model that the file's metadata describe, with the weights under `options.prefix`; sizes are
/// checked against the weights before memory is allocated. Warns on standard error of values that are not
/// finite. Throws DataError that begins with `options.where`.
std::unique_ptr<Model> read_model(const TensorFile& file, const LoadOptions& options);

/// Warns on standard error of values in `where` that are not finite.
void warn_of(const LoadReport& loaded, const std::string& where);

/// DIR/model.safetensors: the weights, a state dict of the model, and `describe`.
void save_model(const std::string& folder, const Model& model, TensorFile weights);
std::unique_ptr<Model> load_model(const std::string& folder);

/// Returns `metadata[key]`; throws DataError when it is missing, as in a file of another program.
const std::string& required(const std::map<std::string, std::string>& metadata, const std::string& key,
                            const std::string& where);

}  // namespace tapegrad::seq2seq
