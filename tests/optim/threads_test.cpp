// An optimizer shares its step with the threads that its gradients come from, and no bit shows how many.
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adagrad.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/rmsprop.h>
#include <tapegrad/optim/sgd.h>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/init.h>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>

namespace tapegrad {
using namespace nn;
using namespace optim;
namespace {

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>()>;

/// Values and state after three steps on parameters of odd sizes, one of them large.
std::vector<Tensor> trained(const MakeOptimizer& make, std::size_t threads, DType dtype) {
  ParameterStore params(4, dtype);
  std::vector<Parameter> all;
  for (const Index size : {5, 30011, 1, 1777})
    all.push_back(params.root().parameter(fmt::format("p{}", size), {size}, normal(0, 1)));
  ShardedStep step(params, {.threads = threads, .dtype = dtype});
  const std::unique_ptr<Optimizer> optimizer = make();
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const StepResult result = step.run(number, 3, [&](Tape& tape, Index shard) -> ShardLoss {
      Var loss = tape.full({}, 0);
      for (const Parameter& p : all) loss = loss + sum(tape[p] * tape[p] * static_cast<double>(shard + 1));
      return {loss, 2};
    });
    clip_grad_norm(result.gradients, 0.5);
    optimizer->step(result.gradients);
  }
  std::vector<Tensor> found;
  for (const Parameter& p : all) found.push_back(p.value().clone());
  for (const auto& [name, tensor] : optimizer->state()) found.push_back(tensor);
  return found;
}

void check_same_bits(const MakeOptimizer& make) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::vector<Tensor> one = trained(make, 1, dtype);
    for (const std::size_t threads : {2u, 3u, 7u}) {
      const std::vector<Tensor> more = trained(make, threads, dtype);
      BOOST_TEST_REQUIRE(more.size() == one.size());
      for (std::size_t i = 0; i < one.size(); ++i) BOOST_TEST(identical(more[i], one[i]));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer_threads)

BOOST_AUTO_TEST_CASE(adam) {
  check_same_bits([] { return std::make_unique<Adam>(); });
  check_same_bits([] { return std::make_unique<AdamW>(AdamWOptions{.amsgrad = true}); });
}

BOOST_AUTO_TEST_CASE(sgd) {
  check_same_bits([] {
    return std::make_unique<SGD>(
        SGDOptions{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true});
  });
}

BOOST_AUTO_TEST_CASE(rmsprop) {
  check_same_bits([] {
    return std::make_unique<RMSprop>(RMSpropOptions{.weight_decay = 0.1, .momentum = 0.9, .centered = true});
  });
}

BOOST_AUTO_TEST_CASE(adagrad) {
  check_same_bits([] { return std::make_unique<Adagrad>(AdagradOptions{.weight_decay = 0.1}); });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
