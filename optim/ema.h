/// Averaged weights: an exponential moving average of all parameters.
#pragma once
#include "../autograd/parameter.h"

namespace tapegrad::optim {

/// Exponential moving average of all parameters: average ← d · average + (1 − d) · parameter, d = min(decay,
/// (1 + t) / (10 + t)) so that early steps soon lose their weight (as in TensorFlow's
/// ExponentialMovingAverage). Averaged weights often generalise better than the last.
class Ema {
 public:
  Ema(ParameterStore& params, double decay);
  /// Updates the average; call it after every optimizer step. Throws while the average is swapped in, and
  /// when parameters were created since the constructor.
  void update();
  /// Exchanges the parameters with the average; a second call restores them.
  void swap() {
    params_.swap(average_);
    swapped_ = !swapped_;
  }
  /// The averaged values, by the parameters' paths.
  ParameterStore& average() { return average_; }
  Index updates() const { return updates_; }
  void set_updates(Index count) { updates_ = count; }

 private:
  ParameterStore& params_;
  ParameterStore average_;
  double decay_;
  bool swapped_ = false;
  Index updates_ = 0;
};

}  // namespace tapegrad::optim
