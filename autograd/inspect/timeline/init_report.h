/// Reports the state of a model before training: parameters against their initialisers, and the signal
/// through its layers.
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
  std::string rule;         ///< formula of its initialiser, or empty when it has none
  double promised = 0;      ///< the standard deviation that the rule promises; NaN when none does
  bool suspicious = false;  ///< more than 6 standard errors away from `promised`
};

/// The signal of one layer at step 0: the standard deviation of its result, and of the loss's gradient there
/// (NaN when no gradient reaches it).
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

/// Checks a model before training: compares the parameters with their initialisers, and runs one forward and
/// backward pass of `loss`, without dropout, on a tape of the parameters' dtype. Warns of a signal that is
/// not finite, or more than 1,000 times smaller (vanishing) or larger (exploding) than the median of its kind
/// over all layers. The model stays unchanged.
InitReport init_report(const ParameterStore& params, const std::function<Var(Tape&)>& loss);

/// The report as tables for a terminal. Repeated layers (`layers.*`) share a row with the range of each
/// number.
std::string to_text(const InitReport& report);

}  // namespace tapegrad
