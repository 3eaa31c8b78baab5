// Families "optim" and "optim_resume": optimizers, alone and with schedules, clipping and groups; clipping
// alone.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/clip.h>

#include <limits>

#include <tests/parity/optim_torch.h>

namespace tapegrad::test {
using namespace optim;
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

using Group = std::pair<const char*, GroupOptions>;

struct Extras {
  const char* schedule_torch = "";  ///< gives the scheduler of the optimizer `o`
  Schedule schedule = nullptr;
  const char* clip_torch = "";  ///< clips the parameters `p`
  std::function<void(const Gradients&)> clip = nullptr;
  std::vector<Group> groups = {};
};

std::string python(const std::vector<Group>& groups) {
  std::string text;
  for (const auto& [path, options] : groups) {
    Keywords words;
    words.add("factor", options.learning_rate_factor, 1.0);
    if (options.weight_decay) words.text(fmt::format("weight_decay={}", test::python(*options.weight_decay)));
    text += fmt::format("{}'{}': dict({})", text.empty() ? "" : ", ", path, words.str());
  }
  return text;
}

template <class T>
OptimConfig of(const typename Torch<T>::Options& options, const Extras& extras = {}) {
  Keywords name = test::python(options), torch;
  torch.text(fmt::format("optim.{}", Torch<T>::name));
  if (!name.str().empty()) torch.text(name.str());
  const auto add = [&](const char* key, const char* lambda, const std::string& python) {
    if (python.empty()) return;
    name.text(fmt::format("{}={}", key, python));
    torch.text(fmt::format("{}={}{}", key, lambda, python));
  };
  add("schedule", "lambda o: ", extras.schedule_torch);
  add("clip", "lambda p: ", extras.clip_torch);
  if (!extras.groups.empty()) add("groups", "", "{" + python(extras.groups) + "}");
  return {.name = fmt::format("{}({})", Torch<T>::name, name.str()),
          .torch = fmt::format("train({})", torch.str()),
          .make =
              [options, groups = extras.groups] {
                auto optimizer = std::make_unique<T>(options);
                for (const auto& [path, group] : groups) optimizer->group(path, group);
                return optimizer;
              },
          .rate = extras.schedule,
          .clip = extras.clip};
}

void clip_to_half(const Gradients& g) { clip_grad_norm(g, 0.5); }

/// after.N.PATH and, as `out`, the state after the last step (without the count of steps, which would be the
/// largest number).
Tensors train(const OptimConfig& config, const Way& way, std::uint64_t seed) {
  Tensors results = optim_start(seed, way.dtype);
  OptimRun run(config, way, results);
  int done = 0;
  for (const int until : {1, 10, 50}) {
    run.steps(done + 1, until);
    done = until;
    for (const Parameter& p : run.store)
      results[fmt::format("after.{}.{}", until, p.path())] = p.value().clone();
  }
  for (const auto& [name, value] : run.optimizer->state())
    if (!name.ends_with(".step")) results["out.state." + name] = value;
  return results;
}

/// Our parameters and state after 25 steps go in, for PyTorch to continue; our own steps 26 to 50 come out.
Tensors resume(const OptimConfig& config, const Way& way, std::uint64_t seed) {
  OptimRun run(config, way, optim_start(seed, way.dtype));
  Tensors results;
  run.steps(1, 25);
  for (const Parameter& p : run.store) results["param." + p.path()] = p.value().clone();
  for (const auto& [name, value] : run.optimizer->state()) results["const.state." + name] = value;
  run.steps(26, 50);
  for (const Parameter& p : run.store) results["after.50." + p.path()] = p.value().clone();
  return results;
}

/// Clips the gradients <x, scale · drawn>; `body` returns the norm before, or nothing.
ParityCase clipping(const char* torch, double scale, std::function<Tensor(const Gradients&)> body) {
  const auto run = [=](const Way& way, std::uint64_t seed) {
    Tensors results = optim_start(seed, way.dtype);
    ParameterStore store(1, way.dtype);
    Tape tape(way.tape());
    Var loss = tape.full({}, 0);
    for (const char* path : {"p", "q"}) {
      const Tensor& x = results.at(std::string("param.") + path);
      const Tensor g = drawn(seed, std::string("clip.") + path, x.shape(), -scale, scale).to(way.dtype);
      const Parameter p =
          store.root().parameter(path, x.shape(), [&](Tensor& values, RandomKey) { values.copy_from(x); });
      results[std::string("const.") + path] = g;
      loss = loss + sum(tape[p] * tape.constant(g));
    }
    const Gradients gradients = tape.backward(loss, {.create_graph = way.create_graph});
    if (const Tensor norm = body(gradients); norm) results["out.0"] = norm.to(way.dtype);
    for (const Parameter& p : store) results["grad.param." + p.path()] = gradients[p].clone();
    return results;
  };
  return {.name = fmt::format("{} of {}", torch, scale),
          .torch = fmt::format("clip(lambda p: {})", torch),
          .run = run};
}

ParityCase clip_norm(double scale, double max_norm, double norm_type) {
  static std::map<std::pair<double, double>, std::string> texts;  // names stay valid
  const std::string type = std::isinf(norm_type) ? "math.inf" : fmt::format("{}", norm_type);
  const std::string& text = texts[{max_norm, norm_type}] =
      fmt::format("clip_grad_norm_(p, {}, {})", max_norm, type);
  return clipping(text.c_str(), scale, [=](const Gradients& g) {
    return Tensor::full({}, clip_grad_norm(g, max_norm, norm_type), DType::f64);
  });
}

}  // namespace

std::vector<OptimConfig> optim_configs() {
  // clang-format off
  return {
      of<SGD>({}),
      of<SGD>({.learning_rate = 0.1}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.9}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.9, .dampening = 0.5}),
      of<SGD>({.learning_rate = 0.02, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.1}),
      of<SGD>({.learning_rate = 0.02, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.1,
               .maximize = true}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.9, .nesterov = true}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.8, .weight_decay = 0.1, .nesterov = true}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.8, .weight_decay = 0.1, .nesterov = true,
               .maximize = true}),
      of<SGD>({.learning_rate = 0.1, .weight_decay = 0.1}),
      of<SGD>({.learning_rate = 0.1, .maximize = true}),
      of<SGD>({.learning_rate = 0.1, .weight_decay = 0.1, .maximize = true}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.9, .maximize = true}),
      of<SGD>({.learning_rate = 0.05, .dampening = 0.5}),
      of<SGD>({.learning_rate = 0}),

      of<Adam>({}),
      of<Adam>({.learning_rate = 0.05}),
      of<Adam>({.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.95}),
      of<Adam>({.learning_rate = 0.02, .beta1 = 0, .beta2 = 0.9, .eps = 0.1}),
      of<Adam>({.learning_rate = 0.05, .eps = 1e-4}),
      of<Adam>({.learning_rate = 0.05, .weight_decay = 0.1}),
      of<Adam>({.learning_rate = 0.05, .maximize = true}),
      of<Adam>({.learning_rate = 0.05, .weight_decay = 0.1, .maximize = true}),
      of<Adam>({.learning_rate = 0.05, .amsgrad = true}),
      of<Adam>({.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.9, .amsgrad = true}),
      of<Adam>({.learning_rate = 0.05, .weight_decay = 0.1, .amsgrad = true}),
      of<Adam>({.learning_rate = 0.05, .weight_decay = 0.1, .amsgrad = true, .maximize = true}),
      of<Adam>({.learning_rate = 0.05, .weight_decay = 0.1, .decoupled = true}),
      of<Adam>({.learning_rate = 0.05, .weight_decay = 0.1, .decoupled = true, .amsgrad = true}),
      of<Adam>({.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.1,
                .decoupled = true, .amsgrad = true, .maximize = true}),

      of<AdamW>({}),
      of<AdamW>({.learning_rate = 0.05}),
      of<AdamW>({.learning_rate = 0.05, .weight_decay = 0}),
      of<AdamW>({.learning_rate = 0.05, .weight_decay = 0.3}),
      of<AdamW>({.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.95}),
      of<AdamW>({.learning_rate = 0.05, .eps = 1e-4}),
      of<AdamW>({.learning_rate = 0.05, .maximize = true}),
      of<AdamW>({.learning_rate = 0.05, .weight_decay = 0.3, .maximize = true}),
      of<AdamW>({.learning_rate = 0.05, .amsgrad = true}),
      of<AdamW>({.learning_rate = 0.05, .weight_decay = 0.3, .amsgrad = true}),
      of<AdamW>({.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.3,
                 .amsgrad = true, .maximize = true}),

      of<RMSprop>({}),
      of<RMSprop>({.learning_rate = 0.02}),
      of<RMSprop>({.learning_rate = 0.02, .alpha = 0.9}),
      of<RMSprop>({.learning_rate = 0.02, .eps = 1e-3}),
      of<RMSprop>({.learning_rate = 0.02, .weight_decay = 0.1}),
      of<RMSprop>({.momentum = 0.8}),
      of<RMSprop>({.weight_decay = 0.1, .momentum = 0.8}),
      of<RMSprop>({.learning_rate = 0.02, .centered = true}),
      of<RMSprop>({.learning_rate = 0.02, .weight_decay = 0.1, .centered = true}),
      of<RMSprop>({.momentum = 0.8, .centered = true}),
      of<RMSprop>({.weight_decay = 0.1, .momentum = 0.8, .centered = true}),
      of<RMSprop>({.learning_rate = 0.02, .maximize = true}),
      of<RMSprop>({.alpha = 0.9, .eps = 0.1, .weight_decay = 0.1, .momentum = 0.8,
                   .centered = true, .maximize = true}),

      of<Adagrad>({}),
      of<Adagrad>({.learning_rate = 0.1}),
      of<Adagrad>({.learning_rate = 0.1, .lr_decay = 0.1}),
      of<Adagrad>({.learning_rate = 0.1, .weight_decay = 0.1}),
      of<Adagrad>({.learning_rate = 0.1, .initial_accumulator_value = 0.5}),
      of<Adagrad>({.learning_rate = 0.1, .eps = 1e-2}),
      of<Adagrad>({.learning_rate = 0.1, .maximize = true}),
      of<Adagrad>({.learning_rate = 0.1, .weight_decay = 0.1, .maximize = true}),
      of<Adagrad>({.learning_rate = 0.1, .lr_decay = 0.1, .weight_decay = 0.1,
                   .initial_accumulator_value = 0.5,
                   .eps = 1e-3, .maximize = true}),

      of<SGD>({.learning_rate = 0.1}, {"lr_scheduler.StepLR(o, 15, 0.5)", step_decay(0.1, 15, 0.5)}),
      of<SGD>({.learning_rate = 0.05, .momentum = 0.9},
              {"lr_scheduler.CosineAnnealingLR(o, 50)", cosine_decay(0.05, 0, 50)}),
      of<Adam>({.learning_rate = 0.05}, {"lr_scheduler.LambdaLR(o, noam(16, 20, 0.05, 2))", noam(16, 20, 2)}),
      of<Adam>({.learning_rate = 0.05, .amsgrad = true},
               {"lr_scheduler.LinearLR(o, 0.1, 1, 9)", linear_warmup(0.05, 10)}),
      of<AdamW>({.learning_rate = 0.05, .weight_decay = 0.3},
                {"warm_up(o, 10, lr_scheduler.CosineAnnealingLR(o, 40))", cosine_decay(0.05, 10, 50)}),
      of<RMSprop>({.momentum = 0.8},
                  {"lr_scheduler.ExponentialLR(o, 0.9)", exponential_decay(0.01, 0.9)}),
      of<Adagrad>({.learning_rate = 0.1, .lr_decay = 0.1},
                  {"lr_scheduler.CosineAnnealingWarmRestarts(o, 8, 2)", cosine_restarts(0.1, 8, 2)}),

      of<SGD>({.learning_rate = 0.1}, {.clip_torch = "clip_grad_norm_(p, 0.5)", .clip = clip_to_half}),
      of<Adam>({.learning_rate = 0.05}, {.clip_torch = "clip_grad_norm_(p, 0.5)", .clip = clip_to_half}),
      of<AdamW>({.learning_rate = 0.05, .amsgrad = true},
                {.clip_torch = "clip_grad_norm_(p, 0.5, math.inf)",
                 .clip = [](const Gradients& g) { clip_grad_norm(g, 0.5, inf); }}),
      of<RMSprop>({.learning_rate = 0.02, .centered = true},
                  {.clip_torch = "clip_grad_norm_(p, 2, 1)",
                   .clip = [](const Gradients& g) { clip_grad_norm(g, 2, 1); }}),
      of<Adagrad>({.learning_rate = 0.1},
                  {.clip_torch = "clip_grad_value_(p, 0.3)",
                   .clip = [](const Gradients& g) { clip_grad_value(g, 0.3); }}),

      of<SGD>({.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 0.1},
              {.groups = {{"q", {.learning_rate_factor = 0.5, .weight_decay = 0}}}}),
      of<Adam>({.learning_rate = 0.05, .amsgrad = true},
               {.groups = {{"p", {.learning_rate_factor = 2, .weight_decay = 0.3}}}}),
      of<AdamW>({.learning_rate = 0.05},
                {.groups = {{"p", {.weight_decay = 0}}, {"q", {.learning_rate_factor = 0}}}}),
      of<RMSprop>({.learning_rate = 0.02},
                  {.groups = {{"q", {.learning_rate_factor = 0.5, .weight_decay = 0.2}}}}),
      of<Adagrad>({.learning_rate = 0.1, .weight_decay = 0.1},
                  {.groups = {{"q", {.learning_rate_factor = 0.5, .weight_decay = 0}}}}),
      of<AdamW>({.learning_rate = 0.05, .weight_decay = 0.3, .amsgrad = true, .maximize = true},
                {"warm_up(o, 10, lr_scheduler.PolynomialLR(o, 40, 2))",
                 [warm = linear_warmup(0.05, 10), fall = polynomial_decay(0.05, 40, 2)](Index s) {
                   return s < 10 ? warm(s) : fall(s - 9);
                 },
                 "clip_grad_norm_(p, 0.5)", clip_to_half,
                 {{"q", {.learning_rate_factor = 0.5, .weight_decay = 0}}}}),
  };
  // clang-format on
}

namespace {

std::vector<ParityCase> cases(Tensors (*run)(const OptimConfig&, const Way&, std::uint64_t)) {
  std::vector<ParityCase> result;
  for (const OptimConfig& config : optim_configs())
    result.push_back({.name = config.name,
                      .torch = config.torch,
                      .run = [=](const Way& way, std::uint64_t seed) { return run(config, way, seed); }});
  return result;
}

const CaseFamily optim("optim", [] {
  std::vector<ParityCase> result = cases(&train);
  for (const double norm_type : {2.0, 1.0, inf})
    for (const auto& [scale, most] : {std::pair{3.0, 1.0}, std::pair{0.1, 100.0}, std::pair{0.0, 1.0}})
      result.push_back(clip_norm(scale, most, norm_type));
  result.push_back(clipping("clip_grad_value_(p, 0.5)", 1, [](const Gradients& g) {
    clip_grad_value(g, 0.5);
    return Tensor();
  }));
  return result;
});
const CaseFamily optim_resume("optim_resume", [] { return cases(&resume); });

}  // namespace
}  // namespace tapegrad::test
