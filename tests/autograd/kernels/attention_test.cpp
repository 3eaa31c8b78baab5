#include "attention_case.h"

namespace tapegrad::test {
namespace {

const AttentionShape kShapes[] = {{1, 1, 1, 1, 1, 1},      {2, 2, 3, 5, 4, 4},     {3, 2, 12, 12, 8, 16},
                                  {2, 3, 33, 17, 20, 5},   {2, 1, 64, 64, 16, 16}, {2, 2, 70, 100, 32, 33},
                                  {2, 1, 1, 40, 16, 16},   {1, 1, 130, 20, 8, 8},  {1, 2, 150, 270, 20, 17},
                                  {2, 1, 260, 140, 16, 32}};

std::vector<AttentionOptions> all_options() {
  std::vector<AttentionOptions> all = {{},
                                       {.causal = true},
                                       {.lengths = true},
                                       {.keep = true},
                                       {.bias = true},
                                       {.dropout = 0.3},
                                       {.causal = true, .causal_offset = 5},
                                       {.causal = true, .causal_offset = -4},
                                       {.dweights = true},
                                       {.causal = true,
                                        .causal_offset = 1,
                                        .lengths = true,
                                        .keep = true,
                                        .bias = true,
                                        .dweights = true,
                                        .dropout = 0.2},
                                       {.causal = true, .dropout = 0.3, .taps = true},
                                       {.lengths = true, .dweights = true, .dropout = 0.3, .taps = true},
                                       {.dscores = true},
                                       {.causal = true,
                                        .lengths = true,
                                        .keep = true,
                                        .bias = true,
                                        .dweights = true,
                                        .dropout = 0.2,
                                        .taps = true,
                                        .dscores = true}};
  return all;
}

template <class T>
void compare() {
  Source source(20);
  int number = 0;
  for (const AttentionShape& shape : kShapes)
    for (const AttentionOptions& options : all_options()) {
      const AttentionCase<T> test(source, shape, options);
      const auto expected = test.expected();
      const std::string what = "case " + std::to_string(number++) + " ";
      const auto tidy =
          [&](AttentionResult<T> r) {  // gaps between rows and unused gradients are not compared
            if (!options.bias) r.dbias.clear();
            return r;
          };
      each_variant<T>([&] {
        const auto got = tidy(test.run());
        std::vector<std::vector<double>> wanted;
        expected.each([&](const char*, const std::vector<double>& v) { wanted.push_back(v); });
        std::size_t i = 0;
        got.each([&](const char* name, const std::vector<T>& v) {
          check_close(v, wanted[i++], 20 * tolerance<T>(10), what + name);
        });
      });
      check_same_on_fma_variants(
          [&] {
            std::vector<T> all;
            test.run().each([&](const char*, const auto& v) { all.insert(all.end(), v.begin(), v.end()); });
            return all;
          },
          what);
    }
}

BOOST_AUTO_TEST_SUITE(attention_kernel)

BOOST_AUTO_TEST_CASE(agrees_with_loops) {
  compare<float>();
  compare<double>();
}

BOOST_AUTO_TEST_CASE(asking_for_the_weights_changes_no_bit) {
  Source source(21);
  for (const AttentionOptions& options : all_options()) {
    const AttentionCase<float> test(source, {2, 2, 40, 35, 16, 16}, options);
    each_variant<float>([&] { BOOST_TEST(same_bits(test.run(true).out, test.run(false).out)); });
  }
}

template <class T>
void taps_change_no_bit() {
  Source source(29);
  for (const AttentionShape& shape : std::vector<AttentionShape>{
           {2, 2, 3, 9, 8, 8}, {2, 2, 40, 35, 16, 16}, {2, 2, 64, 64, 8, 20}, {1, 2, 150, 270, 16, 20}})
    for (const AttentionOptions& options : all_options()) {
      AttentionCase<T> test(source, shape, options);
      each_variant<T>([&] {
        test.o.taps = false;
        const auto plain = test.run(false);
        test.o.taps = true;
        const auto seen = test.run(true);
        BOOST_TEST(same_bits(plain.out, seen.out));
        BOOST_TEST(same_bits(plain.dquery, seen.dquery));
        BOOST_TEST(same_bits(plain.dkey, seen.dkey));
        BOOST_TEST(same_bits(plain.dvalue, seen.dvalue));
        BOOST_TEST(same_bits(plain.dbias, seen.dbias));
      });
    }
}

BOOST_AUTO_TEST_CASE(asking_for_scores_and_gradients_changes_no_bit) {
  taps_change_no_bit<float>();
  taps_change_no_bit<double>();
}

// Queries in lanes, tiles and whole rows: the lengths and the requested results choose the path.
template <class T>
void every_path() {
  Source source(26);
  for (const AttentionShape& shape : std::vector<AttentionShape>{
           {2, 2, 40, 35, 16, 16}, {2, 2, 64, 64, 8, 20}, {2, 2, 110, 133, 16, 20}, {1, 2, 270, 300, 32, 32}})
    for (AttentionOptions options : all_options()) {
      options.dweights = false;
      options.constant_bias = true;
      AttentionCase<T> test(source, shape, options);
      each_variant<T>([&] {
        for (const bool add : {true, false}) {
          const auto rows = test.run(true, true, add);
          const auto every_key_kept = [&] {
            if (options.keep) return test;
            AttentionCase<T> kept = test;
            kept.o.keep = true;
            std::fill(kept.keep.begin(), kept.keep.end(), std::uint8_t{1});
            return kept;
          };
          for (const bool tiles : {true, false}) {
            const auto other = (tiles ? every_key_kept() : test).run(true, false, add);
            BOOST_TEST(same_bits(rows.out, other.out));
            BOOST_TEST(same_bits(rows.weights, other.weights));
            BOOST_TEST(same_bits(rows.dquery, other.dquery));
            BOOST_TEST(same_bits(rows.dkey, other.dkey));
            BOOST_TEST(same_bits(rows.dvalue, other.dvalue));
          }
        }
      });
    }
}

BOOST_AUTO_TEST_CASE(every_path_has_the_same_bits) {
  every_path<float>();
  every_path<double>();
}

/// The first `query` queries and `key` keys of sentence b of `all`, alone.
template <class T>
AttentionCase<T> cut(const AttentionCase<T>& all, Index b, Index query, Index key) {
  Source unused(0);
  AttentionOptions options = all.o;
  options.lengths = false;
  AttentionCase<T> one(unused, {1, all.s.heads, query, key, all.s.dim, all.s.value_dim}, options);
  const auto copy = [&](std::vector<T>& to, const std::vector<T>& from, Index time, Index all_time,
                        Index dim) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(all.at(b, 0, 0, all_time, dim, 0));
    to.assign(first, first + time * all.row(dim));
  };
  copy(one.query, all.query, query, all.s.query, all.s.dim);
  copy(one.key, all.key, key, all.s.key, all.s.dim);
  copy(one.value, all.value, key, all.s.key, all.s.value_dim);
  copy(one.dout, all.dout, query, all.s.query, all.s.value_dim);
  for (Index q = 0; q < query; ++q)
    for (Index k = 0; k < key; ++k) {
      one.keep[static_cast<std::size_t>(q * key + k)] =
          all.keep[static_cast<std::size_t>((b * all.s.query + q) * all.s.key + k)];
      for (Index h = 0; h < all.s.heads; ++h) {
        one.bias[one.bias_at(h, q, k)] = all.bias[all.bias_at(h, q, k)];
        one.dweights[one.score(0, h, q, k)] = all.dweights[all.score(b, h, q, k)];
      }
    }
  return one;
}

// Sentence b of a batch is `query` queries and lengths[b] keys long; padded queries receive no cotangent.
template <class T>
void sentence_alone(const AttentionOptions& options) {
  Source source(22);
  AttentionCase<T> all(source, {3, 2, 61, 75, 16, 20}, options);
  all.lengths = {75, 33, 14};
  const Index queries[] = {61, 30, 13};
  for (Index b = 0; b < 3; ++b)
    for (Index q = queries[b]; q < 61; ++q)
      for (Index h = 0; h < 2; ++h) {
        for (Index e = 0; e < 20; ++e) all.dout[all.at(b, h, q, 61, 20, e)] = 0;
        for (Index k = 0; k < 75; ++k) all.dweights[all.score(b, h, q, k)] = 0;
      }
  each_variant<T>([&] {
    const auto batch = all.run();
    for (Index b = 0; b < 3; ++b) {
      const Index query = queries[b], key = all.lengths[static_cast<std::size_t>(b)];
      const auto one = cut(all, b, query, key).run();
      const auto check = [&](const char* name, const std::vector<T>& alone, const std::vector<T>& together,
                             Index time, Index dim) {
        const T* from = together.data() + all.at(b, 0, 0, time, dim, 0);
        BOOST_CHECK_MESSAGE(std::memcmp(alone.data(), from, alone.size() * sizeof(T)) == 0,
                            name << " of sentence " << b);
      };
      check("out", one.out, batch.out, 61, 20);
      check("dquery", one.dquery, batch.dquery, 61, 16);
      check("dkey", one.dkey, batch.dkey, 75, 16);
      check("dvalue", one.dvalue, batch.dvalue, 75, 20);
      for (Index h = 0; h < 2; ++h)
        for (Index q = 0; q < query; ++q)
          BOOST_TEST(std::memcmp(&one.weights[static_cast<std::size_t>((h * query + q) * key)],
                                 &batch.weights[all.score(b, h, q, 0)],
                                 static_cast<std::size_t>(key) * sizeof(T)) == 0);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_sentence_alone_has_the_bits_it_has_in_a_padded_batch) {
  for (const AttentionOptions& options :
       std::vector<AttentionOptions>{{.lengths = true},
                                     {.causal = true, .lengths = true},
                                     {.lengths = true, .keep = true, .bias = true, .dweights = true},
                                     {.causal = true, .causal_offset = 3, .lengths = true, .bias = true}}) {
    sentence_alone<float>(options);
    sentence_alone<double>(options);
  }
}

BOOST_AUTO_TEST_CASE(masking_a_key_has_the_bits_of_leaving_it_out) {
  Source source(23);
  each_variant<float>([&] {
    AttentionCase<float> masked(source, {1, 2, 40, 40, 16, 16}, {.keep = true});
    for (Index q = 0; q < 40; ++q)
      for (Index k = 0; k < 40; ++k) masked.keep[static_cast<std::size_t>(q * 40 + k)] = k <= q;
    AttentionCase<float> causal = masked;
    causal.o = {.causal = true};
    const auto a = masked.run(), b = causal.run();
    BOOST_TEST(same_bits(a.out, b.out));
    BOOST_TEST(same_bits(a.weights, b.weights));
    BOOST_TEST(same_bits(a.dquery, b.dquery));
    BOOST_TEST(same_bits(a.dvalue, b.dvalue));
  });
}

BOOST_AUTO_TEST_CASE(a_fully_masked_row_is_zero_everywhere) {
  Source source(24);
  each_variant<float>([&] {
    AttentionCase<float> test(source, {2, 2, 20, 30, 8, 8},
                              {.lengths = true, .dweights = true, .dropout = 0.1});
    test.lengths = {30, 0};
    const auto r = test.run();
    for (Index h = 0; h < 2; ++h)
      for (Index q = 0; q < 20; ++q) {
        for (Index e = 0; e < 8; ++e) {
          BOOST_TEST(r.out[test.at(1, h, q, 20, 8, e)] == 0.0f);
          BOOST_TEST(r.dquery[test.at(1, h, q, 20, 8, e)] == 0.5f);
        }
        for (Index k = 0; k < 30; ++k) {
          BOOST_TEST(r.weights[test.score(1, h, q, k)] == 0.0f);
          BOOST_TEST(r.dkey[test.at(1, h, k, 30, 8, 0)] == 0.5f);
          BOOST_TEST(r.dvalue[test.at(1, h, k, 30, 8, 0)] == 0.5f);
        }
      }
  });
}

// Finite queries and keys whose products are all -inf: like a row without keys.
BOOST_AUTO_TEST_CASE(overflowing_scores_pass_on_nothing) {
  Source source(28);
  AttentionCase<float> test(source, {1, 2, 20, 17, 8, 8}, {});
  std::fill(test.query.begin(), test.query.end(), 1e20f);
  std::fill(test.key.begin(), test.key.end(), -1e20f);
  each_variant<float>([&] {
    for (const bool with_weights : {false, true}) {
      const auto r = test.run(with_weights);
      for (Index h = 0; h < 2; ++h)
        for (Index e = 0; e < 8; ++e) {
          BOOST_TEST(r.out[test.at(0, h, 19, 20, 8, e)] == 0.0f);
          BOOST_TEST(r.dquery[test.at(0, h, 19, 20, 8, e)] == 0.5f);
          BOOST_TEST(r.dkey[test.at(0, h, 16, 17, 8, e)] == 0.5f);
          BOOST_TEST(r.dvalue[test.at(0, h, 16, 17, 8, e)] == 0.5f);
        }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_broadcast_bias_gathers_its_gradient) {
  Source source(25);
  each_variant<double>([&] {
    const AttentionCase<double> test(source, {2, 3, 5, 6, 4, 4}, {.bias = true});
    const auto full = test.run();
    double sum = 0, total = 0;
    for (const double d : full.dbias) sum += d - 0.5;
    kernels::AttentionArgs<double> a;
    a.batch = 2, a.heads = 3, a.query_len = 5, a.key_len = 6, a.head_dim = a.value_dim = 4;
    a.query = test.query.data(), a.key = test.key.data(), a.value = test.value.data();
    auto out = full.out;
    a.out = out.data();
    a.query_strides = a.out_strides = test.strides(5, 4),
    a.key_strides = a.value_strides = test.strides(6, 4);
    std::vector<double> max(30), inverse(30), weights = full.weights;
    a.row_max = max.data(), a.row_inverse_sum = inverse.data(), a.scale = test.scale;
    const double one = 0.25;
    a.bias = &one;  // a constant for all: it changes no weight, and its gradient is 0
    kernels::AttentionGradients<double> g;
    g.dout = test.dout.data(), g.dout_strides = a.out_strides, g.dbias = &total;
    kernels::attention_forward(a);
    kernels::attention_backward(a, g);
    BOOST_TEST(std::abs(total) < 1e-13);
    BOOST_TEST(std::abs(sum) < 1e-13);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
