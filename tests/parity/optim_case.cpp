#include <tests/parity/optim_case.h>

#include <tapegrad/autograd/ops.h>

#include <cmath>

namespace tapegrad::test {
namespace {

Tensor golden_gradient(const Tensor& x, int t) {
  std::vector<double> values = x.to_vector();
  for (double& v : values) v = std::sin(v * 3 + t * 0.1);
  return Tensor::from(values, x.shape(), x.dtype());
}

}  // namespace

Tensors optim_start(std::uint64_t seed, DType dtype) {
  return {{"param.p", drawn(seed, "optim.p", {2, 3}, -2, 2).to(dtype)},
          {"param.q", drawn(seed, "optim.q", {4}, -2, 2).to(dtype)}};
}

OptimRun::OptimRun(const OptimConfig& config, const Way& way, const Tensors& start)
    : store(1, way.dtype),
      optimizer(config.make()),
      rate_(config.rate),
      clip_(config.clip),
      way_(way),
      tape_(way.tape()) {
  for (const char* path : {"p", "q"}) {
    const Tensor& value = start.at(std::string("param.") + path);
    store.root().parameter(path, value.shape(), [&](Tensor& values, RandomKey) { values.copy_from(value); });
  }
}

void OptimRun::steps(int first, int last) {
  for (int t = first; t <= last; ++t) {
    tape_.reset();
    Var loss = tape_.full({}, 0);
    for (const Parameter& x : store)
      loss = loss + sum(tape_[x] * tape_.constant(golden_gradient(x.value(), t)));
    const Gradients gradients = tape_.backward(loss, {.create_graph = way_.create_graph});
    if (clip_) clip_(gradients);
    if (rate_) optimizer->set_learning_rate(rate_(t));
    optimizer->step(gradients);
  }
}

}  // namespace tapegrad::test
