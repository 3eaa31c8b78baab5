#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention/attention.h>
#include <tapegrad/autograd/ops/reduce.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string_view>
#include <tuple>
#include <vector>

using namespace tapegrad;

namespace {
auto says(std::string_view expected) {
  return [expected](const Error& error) {
    BOOST_TEST(error.what() == expected);
    return true;
  };
}

struct Setup {
  DType dtype;
  bool memory;
  Index heads;
  AttentionOptions options = {};
  bool weights = false;
};

/// Context, weights where asked for, and gradients of qkv, or of query and kv; `together` reads columns, else
/// slices are made.
std::vector<std::vector<double>> results(const Setup& s, bool together) {
  constexpr Index width = 6, time = 11, keys = 18;
  Tape tape({.dtype = s.dtype, .training = true, .seed = 3});
  const auto variable = [&](const Shape& shape, std::uint64_t key) {
    return tape.variable(sample_values(shape, -2, 2, key).to(s.dtype));
  };
  const Var first = variable({2, time, s.memory ? width : 3 * width}, 1),
            last = s.memory ? variable({2, keys, 2 * width}, 2) : first;
  const auto part = [&](const Var& x, Index i) {
    const ColumnView c = columns(x, i * width, width);
    return together ? c : ColumnView(c.value());
  };
  const Index before = s.memory ? 0 : 1;
  const ColumnView q = part(first, 0), k = part(last, before), v = part(last, before + 1);
  AttentionOptions options = s.options;
  options.layout = PackedHeads{s.heads};
  const AttentionResult r =
      s.weights ? attention_with_weights(q, k, v, options) : AttentionResult{attention(q, k, v, options)};
  const Tensor cotangent = sample_values({2, time, width}, -1, 1, 9).to(s.dtype);
  Var loss = sum(r.context * tape.constant(cotangent));
  if (r.weights) loss = loss + sum(r.weights * r.weights);
  const Gradients g = tape.backward(loss, {.consume = true});
  std::vector<std::vector<double>> all = {loss.value().to_vector(), g[first].to_vector()};
  if (s.memory) all.push_back(g[last].to_vector());
  return all;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(attention_over_columns)

BOOST_AUTO_TEST_CASE(the_bits_of_query_key_and_value_apart) {
  const Mask lengths = Mask::from_lengths(Tensor::ids({7, 0}));
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool memory : {false, true})
      for (const Setup& setup : std::initializer_list<Setup>{
               {dtype, memory, 2},
               {dtype, memory, 3, {.mask = lengths}},
               {dtype, memory, 2, {.mask = Mask::causal() & lengths, .dropout = 0.3}},
               {dtype, memory, 6, {.mask = Mask::causal(-2), .dropout = 0.3}, true}}) {
        const auto together = results(setup, true), apart = results(setup, false);
        BOOST_REQUIRE(together.size() == apart.size());
        for (std::size_t i = 0; i < together.size(); ++i)
          BOOST_TEST(together[i] == apart[i], boost::test_tools::per_element());
      }
}

BOOST_AUTO_TEST_CASE(columns_of_one_value_are_one_input) {
  Tape tape;
  const Var x = tape.full({2, 3, 12}, 1);
  const auto inputs = [&](const ColumnView& q, const ColumnView& k, const ColumnView& v) {
    attention(q, k, v, {.layout = PackedHeads{2}});
    return tape.node(static_cast<std::uint32_t>(tape.size()) - 1).input_count;
  };
  BOOST_TEST(inputs(columns(x, 0, 4), columns(x, 4, 4), columns(x, 8, 4)) == 1);
  BOOST_TEST(inputs(columns(x, 0, 4), columns(x, 2, 4), columns(x, 8, 4)) == 2);  // the first two overlap
  BOOST_TEST(inputs(columns(x, 0, 4), columns(x, 0, 4), columns(x, 0, 4)) == 3);
  BOOST_TEST(inputs(x, x, x) == 3);
}

/// Columns that nothing reads get a gradient of 0, and those read twice the sum of both.
BOOST_AUTO_TEST_CASE(columns_that_leave_gaps_or_overlap) {
  const Tensor values = sample_values({2, 5, 10}, -2, 2, 1);
  const auto gradient = [&](Index query, Index key, Index value, bool together) {
    Tape tape({.dtype = DType::f64});
    const Var x = tape.variable(values);
    const auto part = [&](Index begin) {
      const ColumnView c = columns(x, begin, 4);
      return together ? c : ColumnView(c.value());
    };
    const Var y = attention(part(query), part(key), part(value), {.layout = PackedHeads{2}});
    return tape.backward(sum(y * y))[x].to_vector();
  };
  for (const auto& [q, k, v] : {std::tuple{0, 4, 6}, {6, 0, 0}, {1, 5, 5}, {2, 2, 2}}) {
    const auto together = gradient(q, k, v, true), apart = gradient(q, k, v, false);
    for (std::size_t i = 0; i < apart.size(); ++i) BOOST_TEST(std::abs(together[i] - apart[i]) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.full({2, 3, 8}, 0), scalar = tape.full({}, 0);
  const std::size_t size = tape.size();
  for (const auto& [begin, width] : {std::pair{4, 5}, {-1, 2}, {9, 0}, {0, -1}})
    BOOST_CHECK_EXCEPTION(
        columns(x, begin, width), Error,
        says(fmt::format("columns: {} columns from column {} on are out of range for [2, 3, 8], which has 8",
                         width, begin)));
  BOOST_CHECK_EXCEPTION(columns(scalar, 0, 1), Error, says("columns: a value of shape [] has no columns"));
  BOOST_CHECK_EXCEPTION(
      attention(columns(x, 0, 4), columns(x, 4, 2), columns(x, 6, 2), {.layout = PackedHeads{2}}), Error,
      says("attention: query [2, 3, 4] and key [2, 3, 2] differ in the extent of axis 2: each query is "
           "multiplied by each key, so both need one width"));
  BOOST_CHECK_EXCEPTION(
      attention(columns(x, 0, 2), columns(x, 2, 2), columns(x, 4, 2), {.layout = PackedHeads{0}}), Error,
      says("attention: heads must be positive, got 0"));
  BOOST_TEST(tape.size() == size);
}

BOOST_AUTO_TEST_SUITE_END()
