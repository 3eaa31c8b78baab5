/// Parses the command line of `seq2seq`.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "examples/seq2seq/options.h"

namespace tapegrad::seq2seq {

/// The text of `--help`.
struct HelpText {
  std::string text;
};

using Command = std::variant<TrainOptions, EvaluateOptions, TranslateOptions, ExplainRunOptions,
                             InspectOptions, HelpText>;

/// Parses the arguments after the program's name. Options of `--config FILE.json` are read first and
/// overridden by those of the command line; the result is resolved. Throws Error on wrong use, with the
/// nearest name for an unknown option or command, and DataError on a bad file.
Command parse_command_line(const std::vector<std::string>& arguments);

}  // namespace tapegrad::seq2seq
