#pragma once
#include <tapegrad/optim/adagrad.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/rmsprop.h>
#include <tapegrad/optim/schedule.h>
#include <tapegrad/optim/sgd.h>

#include <memory>

#include <tests/parity/case.h>

namespace tapegrad::test {

/// An optimizer with its options and whatever else shapes its steps.
struct OptimConfig {
  std::string name;   ///< what PyTorch is called, without the functions: `Adam(lr=0.05, amsgrad=True)`
  std::string torch;  ///< Python, see torch_optim.py: `train(optim.Adam, lr=0.05, amsgrad=True)`
  std::function<std::unique_ptr<optim::Optimizer>()> make;
  optim::Schedule rate = nullptr;
  std::function<void(const Gradients&)> clip = nullptr;
};

/// All that are compared with PyTorch.
std::vector<OptimConfig> optim_configs();

/// Parameters p [2, 3] and q [4] under an optimizer. Their gradients before step t are sin(3 x + 0.1 t).
class OptimRun {
 public:
  /// From `param.p` and `param.q` of `start`.
  OptimRun(const OptimConfig& config, const Way& way, const Tensors& start);
  void steps(int first, int last);

  ParameterStore store;
  std::unique_ptr<optim::Optimizer> optimizer;

 private:
  optim::Schedule rate_;
  std::function<void(const Gradients&)> clip_;
  Way way_;
  Tape tape_;
};

Tensors optim_start(std::uint64_t seed, DType dtype);

}  // namespace tapegrad::test
