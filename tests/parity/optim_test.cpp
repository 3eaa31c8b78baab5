// Trajectories of PyTorch's optimizers over 50 steps, gradient clipping, and learning rates of schedules.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/schedule.h>
#include <tapegrad/optim/sgd.h>

#include <tests/parity/golden.h>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>

namespace tapegrad {
namespace {

using test::Comparison;
using test::Golden;

using Make = std::function<std::unique_ptr<Optimizer>()>;

Make sgd(const SgdOptions& options) {
  return [=] { return std::make_unique<Sgd>(options); };
}
Make adam(const AdamOptions& options) {
  return [=] { return std::make_unique<Adam>(options); };
}
Make adamw(const AdamWOptions& options) {
  return [=] { return std::make_unique<AdamW>(options); };
}

const std::map<std::string, Make> optimizers = {
    {"sgd", sgd({.learning_rate = 0.1})},
    {"sgd_momentum", sgd({.learning_rate = 0.05, .momentum = 0.9})},
    {"sgd_dampening", sgd({.learning_rate = 0.05, .momentum = 0.9, .dampening = 0.5})},
    {"sgd_nesterov", sgd({.learning_rate = 0.05, .momentum = 0.9, .nesterov = true})},
    {"sgd_weight_decay", sgd({.learning_rate = 0.1, .weight_decay = 0.1})},
    {"sgd_nesterov_weight_decay",
     sgd({.learning_rate = 0.05, .momentum = 0.8, .weight_decay = 0.1, .nesterov = true})},
    {"adam", adam({.learning_rate = 0.05})},
    {"adam_betas", adam({.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-4})},
    {"adam_weight_decay", adam({.learning_rate = 0.05, .weight_decay = 0.1})},
    {"adamw", adamw({.learning_rate = 0.05})},
    {"adamw_weight_decay", adamw({.learning_rate = 0.05, .weight_decay = 0.3})},
    {"adam_clip", adam({.learning_rate = 0.05})},
};

struct Pair {
  explicit Pair(const Golden& golden) : store(1, DType::f64) {
    const auto from = [&](const char* name) {
      return [&golden, name](Tensor& values, RandomKey) {
        values.copy_from(golden.at(std::string("start.") + name));
      };
    };
    p = store.root().parameter("p", {2, 3}, from("p"));
    q = store.root().parameter("q", {4}, from("q"));
  }

  /// Gradients that are exactly these tensors: those of <p, dp> + <q, dq>.
  Gradients gradients(Tape& tape, const Tensor& dp, const Tensor& dq) const {
    return tape.backward(sum(tape[p] * tape.constant(dp)) + sum(tape[q] * tape.constant(dq)));
  }

  ParameterStore store;
  Parameter p, q;
};

/// sin(3 x + 0.1 t)
Tensor golden_gradient(const Tensor& x, int t) {
  std::vector<double> values = x.to_vector();
  for (double& v : values) v = std::sin(v * 3 + t * 0.1);
  return Tensor::from(values, x.shape(), DType::f64);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_optim)

BOOST_AUTO_TEST_CASE(trajectories) {
  const Golden golden("optim");
  std::set<std::string> cases, tested;
  for (const std::string& name : golden.under(""))
    if (name.ends_with(".step50.p")) cases.insert(name.substr(0, name.find('.')));
  for (const auto& [name, make] : optimizers) tested.insert(name);
  BOOST_TEST(cases == tested, boost::test_tools::per_element());

  for (const auto& [name, make] : optimizers) {
    Comparison comparison(name, 1e-12);
    const Pair pair(golden);
    const auto optimizer = make();
    Tape tape({.dtype = DType::f64});
    for (int t = 1; t <= 50; ++t) {
      tape.reset();
      const Gradients g =
          pair.gradients(tape, golden_gradient(pair.p.value(), t), golden_gradient(pair.q.value(), t));
      if (name == "adam_clip") clip_grad_norm(g, 0.5);
      optimizer->step(g);
      for (const Parameter& p : pair.store) {
        const std::string at = fmt::format("{}.step{}.{}", name, t, p.path());
        if (golden.has(at)) comparison.check(at, p.value(), golden.at(at));
      }
    }
  }
}

// The cases clip_inf and clip_one use the largest and the summed absolute value as the norm, which are not
// offered.
BOOST_AUTO_TEST_CASE(clipping) {
  const Golden golden("optim");
  for (const auto& [name, max_norm] :
       std::map<std::string, double>{{"clip_above", 1}, {"clip_below", 100}, {"clip_zero", 1}}) {
    Comparison comparison(name, 1e-12);
    const Pair pair(golden);
    Tape tape({.dtype = DType::f64});
    const Gradients g = pair.gradients(tape, golden.at(name + ".grad.p"), golden.at(name + ".grad.q"));
    comparison.check("norm", {grad_norm(g)}, golden.at(name + ".norm").to_vector());
    comparison.check("returned norm", {clip_grad_norm(g, max_norm)}, golden.at(name + ".norm").to_vector());
    comparison.check("p", g[pair.p], golden.at(name + ".clipped.p"));
    comparison.check("q", g[pair.q], golden.at(name + ".clipped.q"));
  }
}

BOOST_AUTO_TEST_CASE(schedules) {
  const Golden golden("optim");
  const std::map<std::string, Schedule> ours = {
      {"constant", constant_rate(0.01)},
      {"linear_warmup", linear_warmup(0.01, 10)},
      {"step", step_decay(0.01, 15, 0.5)},
      {"cosine", cosine_decay(0.01, 0, 60, 0.001)},
      {"warmup_cosine", cosine_decay(0.01, 10, 60, 0.001)},
      {"noam", noam(32, 10)},
      {"noam_factor2", noam(32, 10, 2)},
  };
  BOOST_TEST(ours.size() == golden.under("schedule.").size());
  for (const auto& [name, schedule] : ours) {
    Comparison comparison("schedule " + name, 1e-15);
    std::vector<double> rates;
    for (Index step = 1; step <= 60; ++step) rates.push_back(schedule(step));
    comparison.check("rates", rates, golden.at("schedule." + name).to_vector());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
