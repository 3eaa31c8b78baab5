// Attention under 1,000 random masks: a query without keys gets exact zeros, in value, weights and gradient,
// passes nothing on, and every way to compute agrees.
#include "random_masks.h"

#include <tapegrad/autograd/kernels/kernel.h>
#include <tapegrad/nn/attention.h>

#include <unistd.h>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

namespace tapegrad {
using namespace nn;
namespace {

using test::Call;
using test::Inputs;
using test::MaskedCase;
using test::Operand;
using test::Outcome;
using test::Route;
using test::routes;

constexpr std::uint64_t masks = 1000;

/// One attention under a random mask: layout, bias and score drawn, too.
struct Attending {
  MaskedCase masked;
  Index dim, value_dim;
  bool packed, weights;
  double dropout = 0;
  Operand query, key, value, context;
  Shape bias;  // rank 0: none
  Inputs inputs, cotangents;

  Attending(std::uint64_t seed, bool with_weights) : masked(seed), weights(with_weights) {
    test::Draws draws(seed + masks);
    dim = draws.between(2, 5);  // the cosine of one element has no gradient but rounding
    value_dim = draws.between(1, 5);
    packed = draws.chance(0.5);
    const auto& [b, h, q, k, mask, allowed] = masked;
    query = {b, h, q, dim, packed};
    key = {b, h, k, dim, packed};
    value = {b, h, k, value_dim, packed};
    context = {b, h, q, value_dim, packed};
    const Shape biases[] = {{}, {b, h, q, k}, {q, k}, {h, 1, k}};
    bias = biases[draws.between(0, 3)];
    inputs = {sample_values(query.shape(), -1, 1, seed + 1), sample_values(key.shape(), -1, 1, seed + 2),
              sample_values(value.shape(), -1, 1, seed + 3)};
    if (bias.rank() > 0) inputs.push_back(sample_values(bias, -1, 1, seed + 4));
    cotangents = {sample_values(context.shape(), -1, 1, seed + 5)};
    if (weights) cotangents.push_back(sample_values({b, h, q, k}, -1, 1, seed + 6));
  }

  HeadLayout layout() const { return packed ? HeadLayout(PackedHeads{masked.heads}) : HeadAxis{}; }
  Outcome run(const Route& route, DType dtype, const Call& call) const {
    return test::run(route, dtype, call, inputs, cotangents);
  }
};

/// Cheaper than a BOOST_TEST of every element.
void require(bool holds, std::string_view what, Index where) {
  if (!holds) BOOST_ERROR(what << " " << where);
}

/// Zeros where nothing takes part, and finite numbers everywhere.
void check_zeros(const Attending& a, const Outcome& o) {
  const MaskedCase& m = a.masked;
  BOOST_TEST(test::all_finite(o), "not finite");
  const auto zeros = [](const std::vector<Tensor>& in, std::size_t i, const Operand& layout, Index row) {
    return in.empty() || test::zeros(in[i], layout.begin(row), layout.width);
  };
  for (Index row = 0; row < m.rows(); ++row) {
    for (Index k = 0; k < m.key && a.weights; ++k)
      if (!m.takes_part(row, k)) require(test::zeros(o.values[1], row * m.key + k, 1), "weight in row", row);
    if (!m.dead(row)) continue;
    require(zeros(o.values, 0, a.context, row), "context of row", row);
    require(zeros(o.gradients, 0, a.query, row), "dquery of row", row);
    require(zeros(o.second, 0, a.query, row), "ddquery of row", row);
  }
  for (Index column = 0; column < m.columns(); ++column) {
    if (!m.unseen(column)) continue;
    for (const auto* gradients : {&o.gradients, &o.second}) {
      require(zeros(*gradients, 1, a.key, column), "dkey of column", column);
      require(zeros(*gradients, 2, a.value, column), "dvalue of column", column);
    }
  }
  if (a.bias.rank() == 4 && !o.gradients.empty())
    for (Index i = 0; i < a.bias.size(); ++i)
      if (m.allowed.data<std::uint8_t>()[i] == 0) require(test::zeros(o.gradients[3], i, 1), "dbias", i);
}

/// The weights of a row with keys sum to 1, those of a dead one to 0.
void check_sums(const Attending& a, const Tensor& weights, double tolerance) {
  const std::vector<double> w = weights.to_vector();
  for (Index row = 0; row < a.masked.rows(); ++row) {
    double total = 0;
    for (Index k = 0; k < a.masked.key; ++k) total += w[static_cast<std::size_t>(row * a.masked.key + k)];
    const double wanted = a.masked.dead(row) ? 0 : 1;
    require(std::abs(total - wanted) <= tolerance * wanted, "sum of row", row);
  }
}

/// The value and cotangent of a dead query, and the value of a key that no query sees, influence nothing.
void check_nothing_passes(const Attending& a, const Route& route, DType dtype, const Call& call,
                          const Outcome& before) {
  Attending other = a;
  for (Index row = 0; row < a.masked.rows(); ++row) {
    if (!a.masked.dead(row)) continue;
    test::scramble(other.inputs[0], a.query.begin(row), a.query.width);
    test::scramble(other.cotangents[0], a.context.begin(row), a.context.width);
    if (a.weights) test::scramble(other.cotangents[1], row * a.masked.key, a.masked.key);
  }
  for (Index column = 0; column < a.masked.columns(); ++column) {
    if (!a.masked.unseen(column)) continue;
    test::scramble(other.inputs[1], a.key.begin(column), a.key.width);
    test::scramble(other.inputs[2], a.value.begin(column), a.value.width);
  }
  const Outcome after = other.run(route, dtype, call);
  BOOST_TEST(test::equal_numbers(after.values, before.values), "a masked input changes a value");
  BOOST_TEST(test::equal_numbers(after.gradients, before.gradients), "a masked input changes a gradient");
}

/// Every property, for one call in every way and both dtypes; with dropout in those that train.
void check(const Attending& a, const Call& call) {
  for (const DType dtype : {DType::f64, DType::f32})
    test::check_routes(
        dtype, test::agreement(dtype), a.dropout > 0,
        [&](const Route& route) { return a.run(route, dtype, call); },
        [&](const Route& route, const Outcome& o) {
          check_zeros(a, o);
          if (a.weights) check_sums(a, o.values[1], test::agreement(dtype));
          if (route.record && !route.create_graph && route.training == (a.dropout > 0))
            check_nothing_passes(a, route, dtype, call, o);
        });
}

Call attention_call(const Attending& a) {
  return [&a](const std::vector<Var>& in) {
    const AttentionOptions options{.mask = a.masked.mask,
                                   .bias = in.size() > 3 ? in[3] : Var(),
                                   .dropout = a.dropout,
                                   .layout = a.layout()};
    if (!a.weights) return VarList{attention(in[0], in[1], in[2], options)};
    const AttentionResult r = attention_with_weights(in[0], in[1], in[2], options);
    return VarList{r.context, r.weights};
  };
}

void check_score(Score score) {
  test::for_seeds(masks, [&](std::uint64_t seed) {
    const Attending a(seed, true);
    check(a, [&](const std::vector<Var>& in) {
      const AttentionResult r = attention_by_score(in[0], in[1], in[2],
                                                   {.score = score,
                                                    .mask = a.masked.mask,
                                                    .bias = in.size() > 3 ? in[3] : Var(),
                                                    .layout = a.layout()});
      return VarList{r.context, r.weights};
    });
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(masked_rows)

BOOST_AUTO_TEST_CASE(the_masks_are_of_every_kind) {
  int dead = 0, live = 0, unseen = 0, empty = 0, partly = 0;
  std::set<std::string> kinds;
  for (std::uint64_t seed = 0; seed < masks; ++seed) {
    const MaskedCase m(seed);
    int here = 0;
    for (Index row = 0; row < m.rows(); ++row) ++(m.dead(row) ? here : live);
    for (Index column = 0; column < m.columns(); ++column) unseen += m.unseen(column);
    dead += here;
    partly += here > 0 && here < m.rows();
    empty += m.key == 0;
    const std::string text = m.mask.describe();
    kinds.insert(fmt::format("{}{}{}", text.find("causal") != text.npos ? "c" : "",
                             text.find("lengths") != text.npos ? "l" : "",
                             text.find("keep") != text.npos ? "k" : ""));
  }
  BOOST_TEST_MESSAGE(dead << " dead rows, " << live << " with keys; " << unseen << " unseen keys");
  BOOST_TEST(dead > 5000);
  BOOST_TEST(live > 10000);
  BOOST_TEST(unseen > 5000);
  BOOST_TEST(partly > 200);
  BOOST_TEST(empty > 20);
  BOOST_TEST(kinds.size() == 8u);
}

BOOST_AUTO_TEST_CASE(attention_alone) {
  test::for_seeds(masks, [](std::uint64_t seed) {
    const Attending a(seed, false);
    check(a, attention_call(a));
  });
}

BOOST_AUTO_TEST_CASE(attention_and_weights) {
  test::for_seeds(masks, [](std::uint64_t seed) {
    const Attending a(seed, true), without(seed, false);
    check(a, attention_call(a));
    const Outcome x = a.run(routes[0], DType::f32, attention_call(a)),
                  y = without.run(routes[0], DType::f32, attention_call(without));
    BOOST_TEST(identical(x.values[0], y.values[0]), "asking for weights changes the context");
  });
}

BOOST_AUTO_TEST_CASE(attention_with_dropout) {
  test::for_seeds(masks, [](std::uint64_t seed) {
    Attending a(seed, seed % 2 == 0);
    a.dropout = 0.3;
    check(a, attention_call(a));
  });
}

BOOST_AUTO_TEST_CASE(score_scaled_dot) { check_score(Score::scaled_dot); }
BOOST_AUTO_TEST_CASE(score_dot) { check_score(Score::dot); }
BOOST_AUTO_TEST_CASE(score_cosine) { check_score(Score::cosine); }
BOOST_AUTO_TEST_CASE(score_negative_distance) { check_score(Score::negative_distance); }

// The kernels are chosen once a process, so that others need a process of their own.
BOOST_AUTO_TEST_CASE(on_every_instruction_set) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  for (const char* isa : {"generic", "avx2", "avx512"}) {
    if (isa == std::string_view(kernels::isa_name(kernels::active_isa()))) continue;  // the others ran on it
    const std::string log =
        (std::filesystem::temp_directory_path() / fmt::format("masked_rows.{}.{}", getpid(), isa)).string();
    const std::string command =
        fmt::format("TAPEGRAD_ISA={} '{}' --run_test='masked_rows/attention_*' --color_output=no > '{}' 2>&1",
                    isa, self, log);
    const int status = std::system(command.c_str());
    std::ifstream file(log);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    BOOST_TEST(status == 0, isa << ":\n" << text);
    std::filesystem::remove(log);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
