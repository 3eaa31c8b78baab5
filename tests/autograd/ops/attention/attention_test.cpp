#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/kernels/workspace.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention/attention.h>
#include <tapegrad/autograd/ops/reduce.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace tapegrad;

namespace {

auto says(std::string_view expected) {
  return [expected](const Error& error) {
    BOOST_TEST(error.what() == expected);
    return true;
  };
}

void check_close(const Tensor& actual, const std::vector<double>& expected, double tolerance = 1e-12) {
  const std::vector<double> values = actual.to_vector();
  BOOST_TEST_REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_REQUIRE_SMALL(values[i] - expected[i], tolerance);
}

Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }
Tensor random(const Shape& shape, std::uint64_t key) { return sample_values(shape, -2, 2, key); }

/// [batch, heads, time, dim] -> [batch, time, heads * dim].
Tensor pack(const Tensor& x) {
  const Index batch = x.shape()[0], heads = x.shape()[1], time = x.shape()[2], dim = x.shape()[3];
  Tensor result({batch, time, heads * dim}, x.dtype());
  for (Index b = 0; b < batch; ++b)
    for (Index h = 0; h < heads; ++h)
      for (Index t = 0; t < time; ++t)
        for (Index d = 0; d < dim; ++d)
          result.data<double>()[(b * time + t) * heads * dim + h * dim + d] = x.at({b, h, t, d});
  return result;
}

/// Values and gradients of one attention call under a random cotangent.
struct Run {
  Tensor context, weights, dquery, dkey, dvalue;

  Run(const TapeOptions& options, const Tensor& q, const Tensor& k, const Tensor& v,
      const AttentionOptions& how) {
    Tape tape(options);
    const Var query = tape.variable(q), key = tape.variable(k), value = tape.variable(v);
    const AttentionResult r = attention_with_weights(query, key, value, how);
    context = r.context.value().clone();
    weights = r.weights.value().clone();
    if (!options.record) return;
    const Var loss = sum(r.context * tape.constant(random(r.context.shape(), 8))) +
                     sum(r.weights * tape.constant(random(r.weights.shape(), 9)));
    const Gradients g = tape.backward(loss);
    dquery = g[query].clone();
    dkey = g[key].clone();
    dvalue = g[value].clone();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_op)

BOOST_AUTO_TEST_CASE(two_queries_by_hand) {
  const double ln2 = std::log(2.);
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var q = tape.variable(f64({{ln2}, {0}})), k = tape.variable(f64({{1}, {0}})),
              v = tape.variable(f64({{3}, {6}}));
    const AttentionResult r = attention_with_weights(q, k, v);
    BOOST_TEST(r.context.shape() == (Shape{2, 1}));
    BOOST_TEST(r.weights.shape() == (Shape{1, 1, 2, 2}));
    check_close(r.weights.value(), {2. / 3, 1. / 3, 0.5, 0.5});
    check_close(r.context.value(), {4, 4.5});
    const Gradients g = tape.backward(r.context, {.cotangent = f64({{1}, {0}})});
    check_close(g[v], {2. / 3, 1. / 3});
    check_close(g[q], {-2. / 3, 0});  // dscores = w (v − context) = (−2/3, 2/3)
    check_close(g[k], {-2. / 3 * ln2, 2. / 3 * ln2});
    const Gradients w = tape.backward(r.weights, {.cotangent = f64({{{{0, 0}, {1, 0}}}})});
    check_close(w[q], {0, 0.25});          // dscores = w (dw − Σ w dw) = (1/4, −1/4)
    if (fused) check_close(w[v], {0, 0});  // the definition's value is not reached
  }
}

BOOST_AUTO_TEST_CASE(mask_bias_and_scale_by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var q = tape.constant(f64({{1, 1, 1, 1}})),
              k = tape.constant(f64({{1, 1, 1, 1}, {9, 9, 9, 9}, {0, 0, 0, 0}}));
    const Var v = tape.constant(f64({{1}, {10}, {100}}));
    const Mask mask = Mask::keep(Tensor::of({{1, 0, 1}}, DType::boolean));
    const double e2 = std::exp(2), e4 = std::exp(4);
    check_close(attention(q, k, v, {.mask = mask}).value(), {(e2 + 100) / (e2 + 1)});
    check_close(attention(q, k, v, {.mask = mask, .scale = 1}).value(), {(e4 + 100) / (e4 + 1)});
    const Var bias = tape.variable(f64({{-2, 50, 0}}));
    const Var c = attention(q, k, v, {.mask = mask, .bias = bias});
    check_close(c.value(), {50.5});
    check_close(tape.backward(c)[bias], {0.5 * (1 - 50.5), 0, 0.5 * (100 - 50.5)});
  }
}

BOOST_AUTO_TEST_CASE(packed_heads_are_the_same_heads) {
  const Tensor q = random({2, 3, 5, 4}, 1), k = random({2, 3, 6, 4}, 2), v = random({2, 3, 6, 7}, 3),
               c = random({2, 3, 5, 7}, 4);
  for (const bool fused : {true, false}) {
    const TapeOptions options{.dtype = DType::f64, .training = true, .fused = fused, .seed = 3};
    Tape apart(options), packed(options);
    const Var x[] = {apart.variable(q), apart.variable(k), apart.variable(v)};
    const Var y[] = {packed.variable(pack(q)), packed.variable(pack(k)), packed.variable(pack(v))};
    const AttentionResult a =
        attention_with_weights(x[0], x[1], x[2], {.mask = Mask::causal(1), .dropout = 0.3});
    const AttentionResult b = attention_with_weights(
        y[0], y[1], y[2], {.mask = Mask::causal(1), .dropout = 0.3, .layout = PackedHeads{3}});
    BOOST_TEST(b.context.shape() == (Shape{2, 5, 21}));
    BOOST_TEST(identical(pack(a.context.value().clone()), b.context.value().clone()));
    BOOST_TEST(identical(a.weights.value().clone(), b.weights.value().clone()));
    const Gradients g = apart.backward(a.context, {.cotangent = c}),
                    h = packed.backward(b.context, {.cotangent = pack(c)});
    for (int i = 0; i < 3; ++i) BOOST_TEST(identical(pack(g[x[i]].clone()), h[y[i]].clone()));
  }
}

BOOST_AUTO_TEST_CASE(a_thousand_random_masks) {
  int dead_rows = 0;
  for (std::uint64_t trial = 0; trial < 1000; ++trial) {
    const auto pick = [&](std::uint64_t i, Index n) {
      return static_cast<Index>(random_bits({trial}, i) % static_cast<std::uint64_t>(n));
    };
    const Index batch = 1 + pick(0, 2), heads = 1 + pick(1, 3), query = 1 + pick(2, 6), key = 1 + pick(3, 9),
                dim = 1 + pick(4, 5);
    const double density = uniform01({trial}, 5);
    const Shape shapes[] = {
        {query, key}, {batch, heads, query, key}, {batch, 1, 1, key}, {1, heads, query, 1}};
    Tensor keep(shapes[pick(6, 4)], DType::boolean);
    for (Index i = 0; i < keep.size(); ++i)
      keep.data<std::uint8_t>()[i] = uniform01({trial + 5000}, static_cast<std::uint64_t>(i)) < density;
    Mask mask = Mask::keep(keep);
    if (pick(7, 3) == 0) mask = mask & Mask::causal(pick(8, 4) - 2);
    if (pick(9, 3) == 0)
      mask = mask & Mask::from_lengths(batch == 1 ? Tensor::ids({pick(10, key + 1)})
                                                  : Tensor::ids({pick(11, key + 1), key}));

    const Tensor q = random({batch, heads, query, dim}, 1), k = random({batch, heads, key, dim}, 2),
                 v = random({batch, heads, key, 3}, 3);
    const AttentionOptions how{.mask = mask};
    const Run fused({.dtype = DType::f64}, q, k, v, how),
        defined({.dtype = DType::f64, .fused = false}, q, k, v, how);
    const Run silent({.dtype = DType::f64, .record = false}, q, k, v, how);
    BOOST_REQUIRE(identical(fused.context, silent.context) && identical(fused.weights, silent.weights));
    check_close(fused.context, defined.context.to_vector());
    check_close(fused.weights, defined.weights.to_vector());
    check_close(fused.dquery, defined.dquery.to_vector(), 1e-11);
    check_close(fused.dkey, defined.dkey.to_vector(), 1e-11);
    check_close(fused.dvalue, defined.dvalue.to_vector(), 1e-11);

    const Tensor allowed = mask.to_tensor(batch, heads, query, key);
    std::vector<bool> live_key(static_cast<std::size_t>(batch * heads * key));
    for (const Run* run : {&fused, &defined}) {
      for (Index row = 0; row < batch * heads * query; ++row) {
        double total = 0;
        bool live = false;
        for (Index j = 0; j < key; ++j) {
          const double w = run->weights.data<double>()[row * key + j];
          const bool takes_part = allowed.data<std::uint8_t>()[row * key + j] != 0;
          if (!takes_part) BOOST_REQUIRE_EQUAL(w, 0);
          if (takes_part) live_key[static_cast<std::size_t>(row / query * key + j)] = true;
          live |= takes_part;
          total += w;
        }
        BOOST_REQUIRE_SMALL(total - (live ? 1 : 0), live ? 1e-14 : 1e-300);
        if (live) continue;
        ++dead_rows;
        for (Index i = 0; i < 3; ++i) BOOST_REQUIRE_EQUAL(run->context.data<double>()[row * 3 + i], 0);
        for (Index i = 0; i < dim; ++i) BOOST_REQUIRE_EQUAL(run->dquery.data<double>()[row * dim + i], 0);
      }
      for (Index j = 0; j < batch * heads * key; ++j) {
        if (live_key[static_cast<std::size_t>(j)]) continue;
        for (Index i = 0; i < dim; ++i) BOOST_REQUIRE_EQUAL(run->dkey.data<double>()[j * dim + i], 0);
        for (Index i = 0; i < 3; ++i) BOOST_REQUIRE_EQUAL(run->dvalue.data<double>()[j * 3 + i], 0);
      }
    }
  }
  BOOST_TEST(dead_rows > 1000);
}

BOOST_AUTO_TEST_CASE(a_row_without_keys_among_longer_rows_passes_nothing_on) {
  // Row 0 may see key 0 by `causal` and nothing by `keep`; the rows of its block see up to 40 keys.
  for (const Index time : {12, 15, 24, 40})
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tensor keep = Tensor::full({time, time}, 1, DType::boolean);
      keep.data<std::uint8_t>()[0] = 0;
      Tape tape({.dtype = dtype});
      const auto variable = [&](std::uint64_t key) {
        return tape.variable(random({1, 1, time, 3}, key).to(dtype));
      };
      const Var q = variable(1), k = variable(2), v = variable(3);
      const Var c = attention(q, k, v, {.mask = Mask::causal() & Mask::keep(keep)});
      Tensor dc(c.shape(), dtype);  // arrives at row 0 alone
      dispatch(dtype, [&](auto zero) { std::fill_n(dc.data<decltype(zero)>(), 3, decltype(zero)(1)); });
      const Gradients g = tape.backward(c, {.cotangent = dc});
      const std::vector<double> nothing(static_cast<std::size_t>(3 * time));
      for (const Var& x : {q, k, v})
        BOOST_TEST(g[x].to_vector() == nothing, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_sentence_alone_is_the_sentence_padded_in_a_batch) {
  // Example 1 of 3 has `length` real steps of `time`; what stands in the padding must not matter.
  const Index time = 21, width = 12;
  for (const Index length : {1, 2, 7, 8, 16, 17, 20})
    for (const bool by_lengths : {true, false})
      for (const Mask& also : {Mask::none(), Mask::causal()}) {
        const Tensor q = random({3, time, width}, 1).to(DType::f32),
                     k = random({3, time, width}, 2).to(DType::f32),
                     v = random({3, time, width}, 3).to(DType::f32);
        Tensor c = random({3, time, width}, 4).to(DType::f32),
               keep = Tensor::full({3, time}, 1, DType::boolean);
        for (Index t = length; t < time; ++t) {
          keep.data<std::uint8_t>()[time + t] = 0;
          for (Index i = 0; i < width; ++i) c.data<float>()[(time + t) * width + i] = 0;
        }
        const auto cut = [&](const Tensor& x) {
          Tensor result({1, length, width});
          std::copy_n(x.data<float>() + time * width, length * width, result.data<float>());
          return result;
        };
        Tape batch, alone;
        const Var x[] = {batch.variable(q), batch.variable(k), batch.variable(v)};
        const Var y[] = {alone.variable(cut(q)), alone.variable(cut(k)), alone.variable(cut(v))};
        const Mask padding =
            by_lengths ? Mask::from_lengths(Tensor::ids({time, length, time})) : Mask::keys(keep);
        const Var a = attention(x[0], x[1], x[2], {.mask = padding & also, .layout = PackedHeads{2}});
        const Var b = attention(y[0], y[1], y[2], {.mask = also, .layout = PackedHeads{2}});
        const Gradients g = batch.backward(a, {.cotangent = c}), h = alone.backward(b, {.cotangent = cut(c)});
        const auto same = [&](const Tensor& padded, const Tensor& single) {  // by ==, so that −0 is 0
          return cut(padded).to_vector() == single.to_vector();
        };
        BOOST_TEST(same(a.value(), b.value()), "context, length " << length);
        for (int i = 0; i < 3; ++i)
          BOOST_TEST(same(g[x[i]], h[y[i]]), "gradient " << i << ", length " << length);
      }
}

BOOST_AUTO_TEST_CASE(keys_beyond_the_length_are_not_read) {
  Tape tape;
  const Var q = tape.variable(Tensor::of({{1, 2}})), k = tape.variable({{1, 0}, {NAN, NAN}}),
            v = tape.variable({{3, 4}, {NAN, NAN}});
  const Var c = attention(q, k, v, {.mask = Mask::from_lengths(Tensor::ids({1}))});
  BOOST_TEST(c.value().to_vector() == (std::vector<double>{3, 4}), boost::test_tools::per_element());
  const Gradients g = tape.backward(c, {.cotangent = Tensor::of({{1, 1}})});
  BOOST_TEST(g[v].to_vector() == (std::vector<double>{1, 1, 0, 0}), boost::test_tools::per_element());
  BOOST_TEST(g[q].to_vector() == (std::vector<double>{0, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(asking_for_weights_changes_no_bit) {
  const TapeOptions options{.training = true, .seed = 5};
  const auto run = [&](bool weights) {
    Tape tape(options);
    const Var x = tape.variable(random({2, 9, 8}, 1).to(DType::f32));
    const AttentionOptions how{.mask = Mask::causal(), .dropout = 0.2, .layout = PackedHeads{2}};
    const Var c = weights ? attention_with_weights(x, x, x, how).context : attention(x, x, x, how);
    const Gradients g = tape.backward(c, {.cotangent = Tensor::full(c.shape(), 1)});
    return std::pair(c.value().clone(), g[x].clone());
  };
  const auto without = run(false), with = run(true);
  BOOST_TEST(identical(without.first, with.first));
  BOOST_TEST(identical(without.second, with.second));
}

// A [time, time] matrix of floats would be 64 MiB at the longest of these.
BOOST_AUTO_TEST_CASE(memory_grows_with_the_length_and_not_with_its_square) {
  struct Bytes {
    std::size_t tape, scratch;
  };
  const auto bytes = [](Index time) {
    Bytes result{};
    std::thread([&] {  // whose scratch begins empty
      Tape tape({.training = true, .seed = 5});
      const auto x = [&](std::uint64_t key) {
        return tape.variable(random({1, time, 16}, key).to(DType::f32));
      };
      const Var c =
          attention(x(1), x(2), x(3), {.mask = Mask::causal(), .dropout = 0.1, .layout = PackedHeads{2}});
      const Gradients g = tape.backward(c, {.cotangent = Tensor::full(c.shape(), 1)});
      result = {tape.peak_bytes(), kernels::workspace_bytes()};
    })
        .join();
    return result;
  };
  const Bytes first = bytes(1024), second = bytes(2048), third = bytes(4096);
  BOOST_TEST_MESSAGE("tape " << first.tape << ' ' << second.tape << ' ' << third.tape << ", scratch "
                             << first.scratch << ' ' << second.scratch << ' ' << third.scratch);
  BOOST_TEST(static_cast<double>(second.tape) < 2.05 * static_cast<double>(first.tape));
  BOOST_TEST(static_cast<double>(third.tape) < 2.05 * static_cast<double>(second.tape));
  BOOST_TEST(static_cast<double>(second.scratch) < 2.05 * static_cast<double>(first.scratch));
  BOOST_TEST(static_cast<double>(third.scratch) < 2.05 * static_cast<double>(second.scratch));
  BOOST_TEST(third.tape + third.scratch < 8u << 20);
}

BOOST_AUTO_TEST_CASE(dropout_counts_elements_in_logical_order) {
  const Index batch = 2, heads = 3, query = 4, key = 5;
  for (const bool fused : {true, false})
    for (const bool packed : {false, true}) {
      const HeadLayout layout = packed ? HeadLayout(PackedHeads{heads}) : HeadAxis{};
      Tape tape({.dtype = DType::f64, .training = true, .fused = fused, .seed = 7, .step = 8, .shard = 9});
      tape.next_draw();
      // Equal scores, and value row j = unit vector j: the context is the dropped weights.
      Tensor value({batch, heads, key, key}, DType::f64);
      for (Index i = 0; i < value.size(); i += key * key)
        for (Index j = 0; j < key; ++j) value.data<double>()[i + j * (key + 1)] = 1;
      Tensor q({batch, heads, query, 1}, DType::f64), k({batch, heads, key, 1}, DType::f64);
      const auto put = [&](const Tensor& x) { return tape.constant(packed ? pack(x) : x); };
      const AttentionResult r =
          attention_with_weights(put(q), put(k), put(value), {.dropout = 0.5, .layout = layout});
      Tensor expected({batch, heads, query, key}, DType::f64);
      for (Index i = 0; i < expected.size(); ++i)
        expected.data<double>()[i] =
            random_bits(random_key(7, 8, 9, 1), static_cast<std::uint64_t>(i)) >> 31 != 0 ? 0.4 : 0;
      check_close(r.context.value(), (packed ? pack(expected) : expected).to_vector());
      check_close(r.weights.value(), std::vector<double>(static_cast<std::size_t>(expected.size()), 0.2));
      BOOST_TEST((tape.next_draw().value == random_key(7, 8, 9, 2).value));  // exactly one draw
      tape.set_training(false);
      attention(put(q), put(k), put(value), {.dropout = 0.5, .layout = layout});
      BOOST_TEST((tape.next_draw().value == random_key(7, 8, 9, 3).value));  // none
    }
}

BOOST_AUTO_TEST_CASE(errors_name_what_does_not_fit) {
  Tape tape({.training = true});
  const auto zeros = [&](const Shape& shape) { return tape.constant(Tensor(shape)); };
  const auto fails = [&](const Shape& q, const Shape& k, const Shape& v, const AttentionOptions& options,
                         std::string_view text) {
    const Var query = zeros(q), key = zeros(k), value = zeros(v);
    const std::size_t nodes = tape.size(), bytes = tape.bytes();
    BOOST_CHECK_EXCEPTION(attention(query, key, value, options), Error, says(text));
    BOOST_TEST((tape.size() == nodes && tape.bytes() == bytes));
  };
  const Shape x{2, 2, 4, 3};
  const auto keep = [](const Shape& shape) { return Mask::keep(Tensor(shape, DType::boolean)); };
  const std::string hint = "; a mask is [query, key] or of rank 4, with extents of 1 where it repeats";
  fails(x, x, x, {.mask = keep({3, 4, 4})},
        "attention: mask of shape [3, 4, 4] does not broadcast to [batch, heads, query, key] = [2, 2, 4, 4]" +
            hint);
  fails(x, x, x, {.mask = Mask::causal() & keep({3, 1, 1, 4})},
        "attention: mask of shape [3, 1, 1, 4] does not broadcast to [batch, heads, query, key] = [2, 2, 4, "
        "4]" +
            hint);
  fails(x, x, x, {.mask = Mask::from_lengths(Tensor::ids({1, 2, 3}))},
        "attention: mask with lengths of 3 examples does not fit [batch, heads, query, key] = [2, 2, 4, 4]");
  fails(x, x, x, {.mask = Mask::from_lengths(Tensor::ids({1, 5}))},
        "attention: mask length 5 of example 1 is larger than the number of keys, 4");
  fails(x, x, x, {.bias = zeros({3, 4})},
        "attention: bias of shape [3, 4] does not broadcast to [batch, heads, query, key] = [2, 2, 4, 4]");
  fails(x, {2, 2, 4, 5}, x, {},
        "attention: query [2, 2, 4, 3] and key [2, 2, 4, 5] differ in the extent of axis 3: each query is "
        "multiplied by each key, so both need one width");
  fails(x, x, {2, 2, 5, 3}, {},
        "attention: key [2, 2, 4, 3] and value [2, 2, 5, 3] differ in the number of keys, axis 2");
  fails(x, {1, 2, 4, 3}, x, {},
        "attention: query [2, 2, 4, 3], key [1, 2, 4, 3] and value [2, 2, 4, 3] differ in the extent of axis "
        "0, batch");
  fails(x, x, {2, 1, 4, 3}, {},
        "attention: query [2, 2, 4, 3], key [2, 2, 4, 3] and value [2, 1, 4, 3] differ in the extent of axis "
        "1, heads");
  fails({4, 3}, {1, 4, 3}, {4, 3}, {},
        "attention: query [4, 3], key [1, 4, 3] and value [4, 3] must have the same rank, from 2 to 4: "
        "[batch, heads, time, dim], or without heads, or without both");
  fails(x, x, x, {.layout = PackedHeads{2}},
        "attention: query [2, 2, 4, 3], key [2, 2, 4, 3] and value [2, 2, 4, 3] must have the same rank, "
        "from 2 to 3: "
        "[batch, time, heads * dim], or without batch");
  fails({2, 4, 6}, {2, 4, 6}, {2, 4, 6}, {.layout = PackedHeads{4}},
        "attention: 4 heads do not divide the last axes of query [2, 4, 6] and value [2, 4, 6]");
  fails(x, x, x, {.layout = PackedHeads{-1}}, "attention: heads must be positive, got -1");
  fails(x, x, x, {.dropout = 2}, "attention: dropout must be in [0, 1], got 2");
  // A failed call took no draw.
  BOOST_CHECK_THROW(attention(zeros(x), zeros(x), zeros(x), {.mask = keep({9, 9}), .dropout = 0.5}), Error);
  BOOST_TEST((tape.next_draw().value == random_key(0, 0, 0, 0).value));
  Tape other;
  BOOST_CHECK_EXCEPTION(attention(zeros({4, 3}), other.constant(Tensor({4, 3})), zeros({4, 3})), Error,
                        says("attention: operand 1 of shape [4, 3] was recorded on another tape; all "
                             "operands of an op must be on one tape"));
}

BOOST_AUTO_TEST_SUITE_END()
