/// The table of training options: one field for each, used by command line, JSON and help.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "examples/seq2seq/json.h"
#include "examples/seq2seq/options.h"

namespace tapegrad::seq2seq {

using Member = std::variant<std::string TrainOptions::*, std::int64_t TrainOptions::*,
                            std::uint64_t TrainOptions::*, double TrainOptions::*, bool TrainOptions::*>;

/// The treatment of an option when training resumes from a checkpoint.
enum class Resume {
  fixed,    ///< stored, may not change
  free,     ///< stored, may change
  not_kept  ///< belongs to one run
};

struct Range {
  double low = 0, high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
};

/// One option of `seq2seq train`: its name on the command line, its member of TrainOptions, and its valid
/// values.
struct Field {
  std::string_view name;
  Member member;
  std::string_view group, help;
  Resume resume = Resume::fixed;
  Range range{};
  std::string_view choices{};   ///< for strings: `relu|gelu`; empty = any text
  std::string_view negative{};  ///< for flags: the name that switches it off
};

/// Every option but the positional DATA.tsv, in the order of the help text.
std::span<const Field> train_fields();

/// The field with this name, or nullptr.
const Field* find_field(std::string_view name);

/// Sets `field` to `value` and notes it in `given`. Throws Error `where: got …, expected …` for a wrong type
/// or range; a whole number is accepted for a fractional one, not the reverse.
void assign(TrainOptions& options, const Field& field, const JsonScalar& value, std::string_view where);

/// As `assign`, from the text of a command-line argument.
void assign_text(TrainOptions& options, const Field& field, const std::string& text, std::string_view where);

/// A whole number from `text`, for options outside the table. Throws Error `where: got …, expected …`.
std::int64_t parse_integer(const std::string& text, const Range& range, std::string_view where);

/// The value that `options` has for `field`.
JsonScalar value_of(const TrainOptions& options, const Field& field);

/// `, did you mean "X"?` for the candidate nearest to `word`, or nothing when none is near.
std::string suggestion(std::string_view word, std::span<const std::string> candidates);

}  // namespace tapegrad::seq2seq
