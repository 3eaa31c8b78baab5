// Compares every case of every family in every way with PyTorch's results (golden/FAMILY.safetensors). No
// list here hears of a new op, layer or optimizer: its file registers the cases.
#include <tests/parity/case.h>
#include <tests/parity/golden.h>

#include <filesystem>
#include <set>

namespace tapegrad {
namespace {

using test::CaseFamily;
using test::golden_seed;
using test::ParityCase;
using test::Way;

constexpr const char* regenerate =
    "write the golden files again: python3 tests/parity/make_golden.py (needs PyTorch)";

bool has_no_counterpart(const ParityCase& parity) { return parity.torch.starts_with("none: "); }

/// All of a family's cases that are in the golden file.
void check_values(const CaseFamily& family, const test::Golden& golden, const Way& way) {
  double largest = 0;
  std::string where = "-";
  int compared = 0;
  for (const ParityCase& parity : family.make()) {
    if (has_no_counterpart(parity) || !golden.has(parity.name)) continue;
    const std::string label = fmt::format("{}: {}, {}", family.name, parity.name, way.name);
    try {
      const double error = test::error_of_case(parity.run(way, golden_seed), golden.at(parity.name));
      BOOST_TEST(error <= way.limit(),
                 fmt::format("{}: error {:.3g}, allowed {:.2g}", label, error, way.limit()));
      if (error > largest) where = parity.name;
      largest = std::max(largest, error);
      ++compared;
    } catch (const std::exception& error) {
      BOOST_ERROR(fmt::format("{}: {}; if the case was changed, {}", label, error.what(), regenerate));
    }
  }
  BOOST_TEST_MESSAGE(fmt::format("{}, {}: {} cases, largest error {:.2g} ({}), allowed {:.2g}", family.name,
                                 way.name, compared, largest, where, way.limit()));
}

/// Names are unique, every case names its PyTorch counterpart, and file and cases match.
void check_names(const CaseFamily& family, const test::Golden& golden) {
  std::set<std::string> names, without;
  for (const ParityCase& parity : family.make()) {
    BOOST_TEST(names.insert(parity.name).second,
               fmt::format("{}: two cases are called {}", family.name, parity.name));
    if (has_no_counterpart(parity)) {
      BOOST_TEST(parity.torch.size() > 12, parity.name << ": `none:` without a reason");
      without.insert(parity.name);
      BOOST_TEST_MESSAGE(
          fmt::format("{}: {} is not compared: {}", family.name, parity.name, parity.torch.substr(6)));
      continue;
    }
    if (parity.torch.empty())
      BOOST_ERROR(fmt::format(
          "{}: {} does not say what PyTorch calls it: give its Sample (ops, autograd/gradcheck/samples.h) or "
          "ParityCase (tests/parity/case.h) a `torch`, Python over the inputs a, b, … and the constants, "
          "such as \"torch.tanh(a)\", or \"none: REASON\" where PyTorch has no counterpart; then {}",
          family.name, parity.name, regenerate));
    else
      BOOST_TEST(golden.has(parity.name),
                 fmt::format("{}: the golden file lacks {}; {}", family.name, parity.name, regenerate));
  }
  for (const std::string& name : golden.under(""))
    BOOST_TEST(
        (names.contains(name) && !without.contains(name)),
        fmt::format("{}: the golden file has {}, which is no case; {}", family.name, name, regenerate));
  BOOST_TEST_MESSAGE(
      fmt::format("{}: {} cases, {} of them not compared", family.name, names.size(), without.size()));
}

std::string golden_path(const CaseFamily& family) {
  return fmt::format("{}/tests/parity/golden/{}.safetensors", TAPEGRAD_SOURCE_DIR, family.name);
}

void check_families(const Way& way) {
  for (const CaseFamily* family = CaseFamily::first(); family != nullptr; family = family->next)
    if (std::filesystem::exists(golden_path(*family))) check_values(*family, test::Golden(family->name), way);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_cases)

BOOST_AUTO_TEST_CASE(every_case_has_its_golden_values) {
  std::set<std::string> families;
  for (const CaseFamily* family = CaseFamily::first(); family != nullptr; family = family->next) {
    BOOST_TEST(families.insert(family->name).second, "two families are called " << family->name);
    if (std::filesystem::exists(golden_path(*family)))
      check_names(*family, test::Golden(family->name));
    else
      BOOST_ERROR(fmt::format("{}: no {}; {}", family->name, golden_path(*family), regenerate));
  }
  BOOST_TEST(families.contains("ops"));
}

static_assert(std::size(test::ways) == 6);
BOOST_AUTO_TEST_CASE(f64_fused) { check_families(test::ways[0]); }
BOOST_AUTO_TEST_CASE(f64_definitions) { check_families(test::ways[1]); }
BOOST_AUTO_TEST_CASE(f64_create_graph) { check_families(test::ways[2]); }
BOOST_AUTO_TEST_CASE(f64_definitions_create_graph) { check_families(test::ways[3]); }
BOOST_AUTO_TEST_CASE(f32_fused) { check_families(test::ways[4]); }
BOOST_AUTO_TEST_CASE(f32_definitions) { check_families(test::ways[5]); }

BOOST_AUTO_TEST_CASE(errors_are_relative_to_the_largest_entry_of_their_kind) {
  const auto f64 = [](const Nested& values) { return Tensor::of(values, DType::f64); };
  const test::Tensors found = {
      {"grad.in.0", f64({1, 200})}, {"grad.in.1", f64(3)}, {"in.0", f64({7, 7})}, {"out.0", f64({5, 5})}};
  // Flat, in order of the names; inputs are no results.
  BOOST_TEST(test::error_of_case(found, f64({1, 200, 3, 5, 5})) == 0);
  BOOST_TEST(test::error_of_case(found, f64({2, 200, 3, 5, 5})) == 1.0 / 200);
  BOOST_TEST(test::error_of_case(found, f64({1, 200, 5, 5, 4})) == 1.0 / 5);
  BOOST_TEST(std::isinf(test::error_of_case(found, f64({1, 200, 3, 5, std::nan("")}))));
  BOOST_CHECK_THROW(test::error_of_case(found, f64({1, 200, 3, 5})), Error);
  BOOST_CHECK_THROW(test::error_of_case(found, f64({1, 200, 3, 5, 5, 5})), Error);
  BOOST_TEST(test::error_of_case({{"out.0", f64(1e-9)}}, f64({0})) == 1e-9 / 0.1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
