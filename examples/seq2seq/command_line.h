#pragma once
#include <string>
#include <variant>
#include <vector>

#include "examples/seq2seq/options.h"

namespace tapegrad::seq2seq {

/// What `--help` prints.
struct HelpText {
  std::string text;
};

using Command = std::variant<TrainOptions, EvaluateOptions, TranslateOptions, ExplainRunOptions,
                             InspectOptions, HelpText>;

/// Understands the arguments after the program's name. The options of `--config FILE.json` are read first,
/// those of the command line win; the result is resolved. Throws Error on wrong use, with the nearest name
/// for an unknown option or command, and DataError on a bad file.
Command parse_command_line(const std::vector<std::string>& arguments);

}  // namespace tapegrad::seq2seq
