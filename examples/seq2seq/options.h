/// The options of the `seq2seq` commands, their defaults and their JSON form.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace tapegrad::seq2seq {

/// The options of `seq2seq train`. Each member is named after its option: `d_model` is `--d-model` on the
/// command line and `"d_model"` in JSON. Ranges and help texts are in option_fields.cpp.
struct TrainOptions {
  // Data
  std::string data;   ///< DATA.tsv
  std::string out;    ///< folder for checkpoint, model, metrics and pictures
  std::string valid;  ///< TSV to validate on; empty = none
  std::string tokens = "char";
  std::string source_tokens, target_tokens;  ///< as `tokens` when empty; never empty after `resolve`
  std::int64_t min_count = 1;                ///< rarer tokens are unknown
  std::int64_t max_length = 256;             ///< most tokens a source or target may have

  // Model
  std::int64_t d_model = 128, heads = 4, layers = 3;
  std::int64_t encoder_layers = 0, decoder_layers = 0;  ///< as `layers` when 0; never 0 after `resolve`
  std::int64_t ff = 512;
  double dropout = 0.2;
  bool norm_first = true;
  std::string activation = "relu", positions = "sinusoidal";
  bool tie_embeddings = false;  ///< the output projection is the target embedding

  // Optimisation
  std::int64_t batch = 128;
  double lr = 1e-3;
  std::int64_t warmup = 200;
  std::string schedule = "linear";
  std::int64_t decay_every = 1000;  ///< for `step`: multiply by `decay_factor` every so many steps
  double decay_factor = 0.5;
  double label_smoothing = 0.1, weight_decay = 0.01, clip = 1.0, beta1 = 0.9, beta2 = 0.98;
  double ema = 0;  ///< decay of averaged weights, 0 = off
  std::uint64_t seed = 1;

  // Limits
  std::int64_t epochs = 0, steps = 0;  ///< 0 = no limit; both 0: `resolve` sets 60 epochs
  double minutes = 0;                  ///< 0 = no limit
  std::int64_t patience = 20;  ///< validations without a better one after which training ends, 0 = never

  // Running
  std::int64_t valid_every = 0;  ///< steps, 0 = once an epoch
  std::int64_t log_every = 50;   ///< steps
  std::int64_t threads = 0;      ///< 0 = all processors
  bool resume = false;
  bool report = false;    ///< DIR/report.html: the training's timeline
  bool check = false;     ///< stop at the first op that makes a NaN or an infinity, and name it
  std::string attention;  ///< sentence whose attention is drawn into DIR/attention.svg
  std::string config;

  std::set<std::string> given;  ///< names, such as `d-model`, of the options that were given
};

struct EvaluateOptions {
  std::vector<std::string> models;  ///< several folders are an ensemble
  std::string data;
  std::int64_t beam = 1, threads = 0;
};

struct TranslateOptions {
  std::string model;
  std::int64_t beam = 1, threads = 0;
  std::string attention;  ///< SVG file for the first sentence's attention, empty = none
};

struct ExplainRunOptions {
  std::string model, source, target;
  std::string out, json, dot, trace;  ///< files to write, empty = none
  bool text = false;                  ///< to standard output
  std::string broken;                 ///< a rule to break, empty = none
  std::string numeric = "attn";       ///< all, attn (attention and samples) or none
  std::string title;                  ///< empty = source and target
  bool dropout = false;               ///< as in training, drawn from `seed`
  bool time = false;                  ///< measure each op
  std::uint64_t seed = 1;
  std::int64_t max_bytes = 2'000'000;
};

struct InspectOptions {
  std::string file;
};

/// Derives unset options from others and checks that all fit together. Throws Error.
void resolve(TrainOptions& options);

/// The options that a checkpoint keeps, as one line of JSON: all that determine the model, its training and
/// its data; not `out`, `threads`, `minutes` and others that do not change the result.
std::string to_json(const TrainOptions& options);

/// Sets the options in the JSON object `text`, keys with `_` or `-`, and notes them in `given`; others stay
/// as they are. Throws DataError that begins with `where` on anything but one flat object with known keys,
/// each once, and values of the right type and range.
void from_json(TrainOptions& options, const std::string& text, const std::string& where);

/// As `from_json`, from a file of at most 1 MiB.
void read_config(TrainOptions& options, const std::string& path);

/// The options of a resumed run: `saved` from the checkpoint, with the limits and run settings of `now`.
/// Throws Error with the name of the first option in `now` that contradicts the checkpoint.
TrainOptions resumed(const TrainOptions& saved, const TrainOptions& now);

}  // namespace tapegrad::seq2seq
