#include "examples/seq2seq/option_fields.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/data/metrics.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace tapegrad::seq2seq {
namespace {

using T = TrainOptions;

constexpr Range at_least_0{.low = 0}, at_least_1{.low = 1}, width{.low = 1, .high = 65536},
    depth{.low = 1, .high = 256};
constexpr Range depth_or_0{.low = 0, .high = 256}, fraction{.low = 0, .high = 1, .high_open = true};
constexpr Range above_0{.low = 0, .low_open = true}, factor{.low = 0, .high = 1, .low_open = true};

constexpr std::string_view data = "Data", model = "Model", optimisation = "Optimisation", length = "How long",
                           running = "Running";
constexpr std::string_view kinds = "char|space";
constexpr Resume fixed = Resume::fixed, free_ = Resume::free, not_kept = Resume::not_kept;

constexpr auto fields = std::to_array<Field>({
    {"out", &T::out, data, "folder for the checkpoint, the model, metrics and pictures", not_kept},
    {"valid", &T::valid, data, "file to validate on, which chooses the best model", not_kept},
    {"tokens", &T::tokens, data, "tokenisation of sources and targets", fixed, {}, kinds},
    {"source-tokens",
     &T::source_tokens,
     data,
     "tokenisation of sources, in place of --tokens",
     fixed,
     {},
     kinds},
    {"target-tokens",
     &T::target_tokens,
     data,
     "tokenisation of targets, in place of --tokens",
     fixed,
     {},
     kinds},
    {"min-count", &T::min_count, data, "tokens seen less often are unknown", fixed, at_least_1},
    {"max-length", &T::max_length, data, "most tokens of a source or target", fixed, width},

    {"d-model", &T::d_model, model, "width of the model", fixed, width},
    {"heads", &T::heads, model, "attention heads; divides d-model", fixed, width},
    {"layers", &T::layers, model, "layers of encoder and decoder each", fixed, depth},
    {"encoder-layers", &T::encoder_layers, model, "layers of the encoder (0: as --layers)", fixed,
     depth_or_0},
    {"decoder-layers", &T::decoder_layers, model, "layers of the decoder (0: as --layers)", fixed,
     depth_or_0},
    {"ff", &T::ff, model, "width of the feed-forward layers", fixed, {.low = 1, .high = 1 << 20}},
    {"dropout", &T::dropout, model, "share of values dropped in training", fixed, fraction},
    {"norm-first",
     &T::norm_first,
     model,
     "normalise before each sublayer (the default)",
     fixed,
     {},
     {},
     "post-norm"},
    {"activation", &T::activation, model, "activation of the feed-forward layers", fixed, {}, "relu|gelu"},
    {"positions", &T::positions, model, "position encoding", fixed, {}, "sinusoidal|learned"},
    {"tie-embeddings",
     &T::tie_embeddings,
     model,
     "the output projection is the target embedding",
     fixed,
     {},
     {},
     "no-tie-embeddings"},

    {"batch", &T::batch, optimisation, "examples in a batch", fixed, {.low = 1, .high = 1 << 20}},
    {"lr", &T::lr, optimisation, "greatest learning rate", fixed, above_0},
    {"warmup", &T::warmup, optimisation, "steps in which the rate rises to --lr", fixed, at_least_0},
    {"schedule",
     &T::schedule,
     optimisation,
     "learning-rate schedule after the warm-up",
     fixed,
     {},
     "constant|linear|inverse-sqrt|cosine|step"},
    {"decay-every", &T::decay_every, optimisation, "steps between decays of schedule step", fixed,
     at_least_1},
    {"decay-factor", &T::decay_factor, optimisation, "factor of each decay of schedule step", fixed, factor},
    {"label-smoothing", &T::label_smoothing, optimisation, "share of probability spread over all tokens",
     fixed, fraction},
    {"weight-decay", &T::weight_decay, optimisation, "weight decay of AdamW", fixed, at_least_0},
    {"clip", &T::clip, optimisation, "greatest norm of the gradient (0: no clipping)", fixed, at_least_0},
    {"beta1", &T::beta1, optimisation, "decay of AdamW's mean of gradients", fixed, fraction},
    {"beta2", &T::beta2, optimisation, "decay of AdamW's mean of squared gradients", fixed, fraction},
    {"ema", &T::ema, optimisation, "decay of averaged weights (0: none)", fixed, fraction},
    {"seed", &T::seed, optimisation, "seed of initial weights, dropout and example order", fixed},

    {"epochs", &T::epochs, length, "passes over the training data (60 when no steps are given either)", free_,
     at_least_0},
    {"steps", &T::steps, length, "steps (0: no limit)", free_, at_least_0},
    {"minutes", &T::minutes, length,
     "end cleanly after so many minutes (0: no limit); the schedule still spans --epochs or --steps",
     not_kept, at_least_0},
    {"patience", &T::patience, length, "validations without a better one before training ends (0: never)",
     free_, at_least_0},

    {"valid-every", &T::valid_every, running, "steps between validations (0: an epoch)", free_, at_least_0},
    {"log-every", &T::log_every, running, "steps between lines of metrics.jsonl", free_, at_least_1},
    {"threads",
     &T::threads,
     running,
     "number of threads (0: all processors); does not change results",
     not_kept,
     {.low = 0, .high = 1024}},
    {"resume", &T::resume, running, "go on from the checkpoint in --out, if there is one", not_kept},
    {"report", &T::report, running, "a page report.html of gradients, updates and attention over training",
     not_kept},
    {"check", &T::check, running,
     "stop at the first op that makes a NaN or an infinity, and name it (slower)", not_kept},
    {"attention", &T::attention, running, "a source whose attention is drawn to attention.svg", not_kept},
    {"config", &T::config, running, "JSON file with any of these options; the command line wins", not_kept},
});

std::string bound(double value) { return fmt::format("{:.10g}", value); }

std::string expectation(const Range& range, bool whole) {
  const std::string_view kind = whole ? "a whole number" : "a number";
  if (std::isinf(range.high))
    return fmt::format("{} {} {}", kind, range.low_open ? "above" : "of at least", bound(range.low));
  if (whole) return fmt::format("{} from {} to {}", kind, bound(range.low), bound(range.high));
  return fmt::format("{} in {}{}, {}{}", kind, range.low_open ? '(' : '[', bound(range.low),
                     bound(range.high), range.high_open ? ')' : ']');
}

bool inside(const Range& range, double value) {
  const bool low = range.low_open ? value > range.low : value >= range.low;
  return low && (range.high_open ? value < range.high : value <= range.high);
}

std::string alternatives(std::string_view choices) {
  std::string text = "\"";
  for (const char c : choices) text += c == '|' ? std::string("\", \"") : std::string(1, c);
  text += '"';
  if (const std::size_t last = text.rfind(", "); last != std::string::npos) text.replace(last, 2, " or ");
  return text;
}

bool one_of(std::string_view choices, std::string_view word) {
  while (!choices.empty()) {
    const std::size_t bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == word) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

[[noreturn]] void refuse(std::string_view where, std::string_view got, std::string_view expected) {
  throw Error(fmt::format("{}: got {}, expected {}", where, got, expected));
}

/// Assigns a value to a member of one type, or refuses it.
struct Assign {
  TrainOptions& options;
  const Field& field;
  const JsonScalar& value;
  std::string_view where;
  const std::string* written = nullptr;  // the argument as it stood on the command line

  [[noreturn]] void refuse_value(std::string_view expected) const {
    const auto* text = std::get_if<std::string>(&value);
    if (written && !text) refuse(where, printable(*written, 60), expected);  // as written, such as `1e3`
    refuse(where, text ? in_quotes(*text) : to_json(value), expected);
  }

  void operator()(std::string T::*member) const {
    const std::string expected = field.choices.empty() ? "text" : alternatives(field.choices);
    const auto* text = std::get_if<std::string>(&value);
    if (!text || text->empty() || text->find('\0') != std::string::npos) refuse_value(expected);
    if (!field.choices.empty() && !one_of(field.choices, *text)) refuse_value(expected);
    options.*member = *text;
  }
  void operator()(std::int64_t T::*member) const {
    const auto* number = std::get_if<std::int64_t>(&value);
    if (!number || !inside(field.range, static_cast<double>(*number)))
      refuse_value(expectation(field.range, true));
    options.*member = *number;
  }
  void operator()(std::uint64_t T::*member) const {
    if (const auto* large = std::get_if<std::uint64_t>(&value)) {
      options.*member = *large;
      return;
    }
    const auto* number = std::get_if<std::int64_t>(&value);
    if (!number || *number < 0) refuse_value("a whole number from 0 to 18446744073709551615");
    options.*member = static_cast<std::uint64_t>(*number);
  }
  void operator()(double T::*member) const {
    const auto* number = std::get_if<double>(&value);
    const auto* whole = std::get_if<std::int64_t>(&value);
    const double x = number ? *number : whole ? static_cast<double>(*whole) : std::nan("");
    if (!std::isfinite(x) || !inside(field.range, x)) refuse_value(expectation(field.range, false));
    options.*member = x;
  }
  void operator()(bool T::*member) const {
    const auto* flag = std::get_if<bool>(&value);
    if (!flag) refuse_value("true or false");
    options.*member = *flag;
  }
};

template <class Number>
bool read_whole(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// The scalar that an argument spells; text when it is no number.
JsonScalar scalar_from(const std::string& text) {
  if (std::int64_t whole = 0; read_whole(text, whole)) return whole;
  if (std::uint64_t large = 0; read_whole(text, large)) return large;
  if (double real = 0; read_whole(text, real)) return real;
  return text;
}

}  // namespace

std::span<const Field> train_fields() { return fields; }

const Field* find_field(std::string_view name) {
  const auto at =
      std::find_if(fields.begin(), fields.end(), [name](const Field& field) { return field.name == name; });
  return at == fields.end() ? nullptr : &*at;
}

void assign(TrainOptions& options, const Field& field, const JsonScalar& value, std::string_view where) {
  std::visit(Assign{options, field, value, where}, field.member);
  options.given.emplace(field.name);
}

void assign_text(TrainOptions& options, const Field& field, const std::string& text, std::string_view where) {
  const bool words = std::holds_alternative<std::string T::*>(field.member);
  const JsonScalar value = words ? JsonScalar(text) : scalar_from(text);
  std::visit(Assign{options, field, value, where, &text}, field.member);
  options.given.emplace(field.name);
}

std::int64_t parse_integer(const std::string& text, const Range& range, std::string_view where) {
  std::int64_t value = 0;
  if (!read_whole(text, value) || !inside(range, static_cast<double>(value)))
    refuse(where, std::holds_alternative<std::string>(scalar_from(text)) ? in_quotes(text) : text,
           expectation(range, true));
  return value;
}

JsonScalar value_of(const TrainOptions& options, const Field& field) {
  return std::visit([&options](auto member) { return JsonScalar(options.*member); }, field.member);
}

std::string suggestion(std::string_view word, std::span<const std::string> candidates) {
  const auto bare = [](std::string_view name) {
    return name.substr(std::min(name.find_first_not_of('-'), name.size()));
  };
  std::string_view nearest;
  std::int64_t fewest = 1 + static_cast<std::int64_t>(bare(word).size()) / 4;  // most edits of a suggestion
  for (const std::string& candidate : candidates) {
    const std::int64_t edits = edit_distance(bare(word), bare(candidate));
    if (edits < fewest || (edits == fewest && nearest.empty())) {
      fewest = edits;
      nearest = candidate;
    }
  }
  for (const std::string& candidate : candidates) {
    if (nearest.empty() && bare(word).size() >= 3 && bare(candidate).starts_with(bare(word)))
      nearest = candidate;
  }
  return nearest.empty() ? "" : fmt::format(", did you mean {}?", in_quotes(nearest));
}

}  // namespace tapegrad::seq2seq
