#pragma once
#include <functional>
#include <string>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

/// One parameter as training begins.
struct ParameterStart {
  std::string name;
  Shape shape;
  double mean = 0, deviation = 0;
  std::string rule;         ///< formula of its initialiser, or nothing when that tells none
  double promised = 0;      ///< the standard deviation that the rule promises; NaN when none does
  bool suspicious = false;  ///< farther from it than 6 standard errors
};

/// What passes through one layer at step 0: standard deviations over all elements of its result, and of the
/// loss's gradient there (NaN when none was reached).
struct LayerSignal {
  std::string path;
  Shape shape;
  double activation = 0, gradient = 0;
};

struct InitReport {
  std::vector<ParameterStart> parameters;
  std::vector<LayerSignal> layers;  ///< in the order in which they ran
  std::vector<std::string> warnings;
};

/// Looks at a model before training: the parameters against the rules that filled them, and one forward and
/// backward pass of `loss`, without dropout, on a tape of the parameters' dtype. A signal is warned of when
/// it is not finite, or when it is more than 1,000 times smaller (vanishing) or larger (exploding) than the
/// median of its kind over all layers. Nothing is changed.
InitReport init_report(const ParameterStore& params, const std::function<Var(Tape&)>& loss);

/// The report as tables for a terminal: like layers (`layers.*`) share a row, with the range of each number.
std::string to_text(const InitReport& report);

}  // namespace tapegrad
