#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention/attention_packed.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/autograd/ops/slice.h>

#include <boost/test/unit_test.hpp>
#include <string_view>
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
  PackedAttentionOptions options;
};

/// Context, weights where asked for, and gradients of qkv, or of query and kv.
std::vector<std::vector<double>> results(const Setup& s, bool packed) {
  constexpr Index width = 6, time = 11, keys = 18;
  Tape tape({.dtype = s.dtype, .training = true, .seed = 3});
  const auto variable = [&](const Shape& shape, std::uint64_t key) {
    return tape.variable(sample_values(shape, -2, 2, key).to(s.dtype));
  };
  const Var first = variable({2, time, s.memory ? width : 3 * width}, 1),
            last = s.memory ? variable({2, keys, 2 * width}, 2) : first;
  AttentionResult r;
  if (packed) {
    r = s.memory ? attention_packed(first, last, s.options) : attention_packed(first, s.options);
  } else {
    const auto part = [&](const Var& x, Index i) { return slice(x, -1, i * width, width); };
    const AttentionOptions o{.mask = s.options.mask, .dropout = s.options.dropout, .heads = s.options.heads};
    const Index before = s.memory ? 0 : 1;
    const Var q = s.memory ? first : part(first, 0), k = part(last, before), v = part(last, before + 1);
    r = s.options.weights ? attention_with_weights(q, k, v, o) : AttentionResult{attention(q, k, v, o), {}};
  }
  const Tensor cotangent = sample_values({2, time, width}, -1, 1, 9).to(s.dtype);
  Var loss = sum(r.context * tape.constant(cotangent));
  if (r.weights) loss = loss + sum(r.weights * r.weights);
  const Gradients g = tape.backward(loss, {.consume = true});
  std::vector<std::vector<double>> all = {loss.value().to_vector(), g[first].to_vector()};
  if (s.memory) all.push_back(g[last].to_vector());
  return all;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(attention_packed_op)

BOOST_AUTO_TEST_CASE(the_bits_of_query_key_and_value_apart) {
  const Mask lengths = Mask::from_lengths(Tensor::ids({7, 0}));
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool memory : {false, true})
      for (const PackedAttentionOptions& options : std::vector<PackedAttentionOptions>{
               {.heads = 2},
               {.heads = 3, .mask = lengths},
               {.heads = 2, .mask = Mask::causal() & lengths, .dropout = 0.3},
               {.heads = 6, .mask = Mask::causal(-2), .dropout = 0.3, .weights = true}}) {
        const auto packed = results({dtype, memory, options}, true),
                   apart = results({dtype, memory, options}, false);
        BOOST_REQUIRE(packed.size() == apart.size());
        for (std::size_t i = 0; i < packed.size(); ++i)
          BOOST_TEST(packed[i] == apart[i], boost::test_tools::per_element());
      }
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const auto zeros = [&](const Shape& shape) { return tape.full(shape, 0); };
  const std::size_t size = tape.size();
  BOOST_CHECK_EXCEPTION(
      attention_packed(zeros({2, 3, 8}), {.heads = 2}), Error,
      says("attention_packed: qkv [2, 3, 8] with 2 heads: it must be [batch, time, 3 * heads * dim], or "
           "without batch"));
  const std::string_view both =
      "they must be [batch, query, heads * dim] and [batch, key, 2 * heads * dim], or both without batch";
  BOOST_CHECK_EXCEPTION(
      attention_packed(zeros({2, 3, 4}), zeros({2, 5, 4}), {.heads = 2}), Error,
      says(fmt::format("attention_packed: query [2, 3, 4] and kv [2, 5, 4] with 2 heads: {}", both)));
  BOOST_CHECK_EXCEPTION(
      attention_packed(zeros({2, 3, 4}), zeros({3, 5, 8}), {.heads = 2}), Error,
      says(fmt::format("attention_packed: query [2, 3, 4] and kv [3, 5, 8] with 2 heads: {}", both)));
  BOOST_CHECK_EXCEPTION(
      attention_packed(zeros({3, 4}), zeros({1, 5, 8}), {.heads = 2}), Error,
      says(fmt::format("attention_packed: query [3, 4] and kv [1, 5, 8] with 2 heads: {}", both)));
  BOOST_CHECK_EXCEPTION(
      attention_packed(zeros({3, 4}), zeros({5, 8}), {.heads = 3}), Error,
      says(fmt::format("attention_packed: query [3, 4] and kv [5, 8] with 3 heads: {}", both)));
  BOOST_CHECK_EXCEPTION(attention_packed(zeros({3, 6}), {.heads = 0}), Error,
                        says("attention_packed: heads must be positive, got 0"));
  BOOST_CHECK_EXCEPTION(attention_packed(zeros({3, 6}), {.dropout = 1.5}), Error,
                        says("attention_packed: dropout must lie in [0, 1], got 1.5"));
  BOOST_CHECK_EXCEPTION(attention_packed(zeros({1, 3, 6}), {.mask = Mask::from_lengths(Tensor::ids({4}))}),
                        Error,
                        says("attention: mask length 4 of example 0 is larger than the number of keys, 3"));
  BOOST_TEST(tape.size() == size + 12);  // the zeros alone
}

BOOST_AUTO_TEST_SUITE_END()
