/// The commands of `seq2seq`.
#pragma once
#include "examples/seq2seq/options.h"

namespace tapegrad::seq2seq {

inline constexpr int exit_ok = 0, exit_failure = 1, exit_usage = 2, exit_data = 65, exit_interrupted = 130;

/// Each returns the program's exit code, writes results to standard output and everything else to standard
/// error, and throws Error on wrong use, DataError on bad data, SystemError when the system refuses.

/// Trains, and writes the results to `options.out`. Polls `interrupted()` each step; when it is true, saves
/// and returns `exit_interrupted`.
int run_train(const TrainOptions& options);
/// Scores models on a file and prints one line of JSON.
int run_evaluate(const EvaluateOptions& options);
/// Translates standard input to standard output, line by line.
int run_translate(const TranslateOptions& options);
/// Explains one example, forward and backward, as a page, text or JSON.
int run_explain(const ExplainRunOptions& options);
int run_inspect(const InspectOptions& options);

}  // namespace tapegrad::seq2seq
