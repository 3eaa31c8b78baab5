// PyTorch's optimizers in the middle of a training, continued by ours (the other direction is the family
// "optim_resume"), and learning rates closer than other cases.
#include <tests/parity/golden.h>
#include <tests/parity/optim_case.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace tapegrad {
using namespace optim;
namespace {

using test::Comparison;
using test::Golden;
using test::OptimConfig;
using test::OptimRun;
using test::Tensors;

constexpr const char* regenerate =
    "add a case to tests/parity/golden_optim.py and write the golden files again: python3 "
    "tests/parity/make_golden.py (needs PyTorch)";

/// `Adam: exp_avg exp_avg_sq`
std::string kind_of(const OptimConfig& config, const Tensors& state) {
  std::string kind = config.name.substr(0, config.name.find('(')) + ":";
  std::set<std::string> fields;
  for (const auto& [name, value] : state) fields.insert(name.substr(name.rfind('.') + 1));
  fields.erase("step");  // PyTorch has none for SGD
  for (const std::string& field : fields) kind += " " + field;
  return kind;
}

Tensors under(const Golden& golden, const std::string& prefix) {
  Tensors found;
  for (const std::string& name : golden.under(prefix)) found[name] = golden.at(prefix + name);
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_optim_state)

BOOST_AUTO_TEST_CASE(pytorchs_state_after_25_steps_continues_to_50) {
  const Golden golden("optim_state");
  std::set<std::string> covered;
  for (const OptimConfig& config : test::optim_configs()) {
    const Tensors state = under(golden, config.name + "/state."),
                  start = under(golden, config.name + "/param.");
    if (start.empty()) continue;
    covered.insert(kind_of(config, state));
    for (const test::Way& way : {test::ways[0], test::ways[4]}) {
      OptimRun run(config, way,
                   {{"param.p", start.at("p").to(way.dtype)}, {"param.q", start.at("q").to(way.dtype)}});
      run.optimizer->load_state(run.store, state);
      run.steps(26, 50);
      Comparison comparison(fmt::format("{}, {}", config.name, way.name), way.limit());
      for (const Parameter& p : run.store)
        comparison.check(p.path(), p.value().to(DType::f64),
                         golden.at(fmt::format("{}/after.50.{}", config.name, p.path())));
    }
  }
  for (const OptimConfig& config : test::optim_configs()) {
    OptimRun run(config, test::ways[0], test::optim_start(1, DType::f64));
    run.steps(1, 1);
    const std::string kind = kind_of(config, run.optimizer->state());
    BOOST_TEST(covered.contains(kind),
               fmt::format("golden/optim_state.safetensors has no {}; {}", kind, regenerate));
  }
}

BOOST_AUTO_TEST_CASE(our_state_is_a_file_that_continues) {
  for (const OptimConfig& config : test::optim_configs()) {
    OptimRun first(config, test::ways[0], test::optim_start(1, DType::f64));
    first.steps(1, 25);
    const Tensors middle = {{"param.p", first.store.at("p").value().clone()},
                            {"param.q", first.store.at("q").value().clone()}};
    OptimRun second(config, test::ways[0], middle);
    second.optimizer->load_state(second.store, first.optimizer->state());
    first.steps(26, 50);
    second.steps(26, 50);
    for (const Parameter& p : first.store)
      BOOST_TEST(identical(p.value(), second.store.at(p.path()).value()), config.name);
  }
}

BOOST_AUTO_TEST_CASE(rates_agree_to_the_last_bits) {
  const Golden golden("schedules");
  for (const test::CaseFamily* family = test::CaseFamily::first(); family != nullptr; family = family->next) {
    if (family->name != std::string("schedules")) continue;
    double largest = 0;
    for (const test::ParityCase& rates : family->make()) {
      const auto found = rates.run(test::ways[0], test::golden_seed).at("out.0").to_vector();
      const auto wanted = golden.at(rates.name).to_vector();
      BOOST_REQUIRE(found.size() == wanted.size());
      double error = 0;
      for (std::size_t i = 0; i < wanted.size(); ++i)
        error =
            std::max(error, std::abs(found[i] - wanted[i]) / *std::max_element(wanted.begin(), wanted.end()));
      BOOST_TEST(error <= 1e-15, fmt::format("{}: {:.3g}", rates.name, error));
      largest = std::max(largest, error);
    }
    BOOST_TEST_MESSAGE(fmt::format("largest error of a rate: {:.2g}", largest));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
