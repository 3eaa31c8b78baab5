#include <tapegrad/autograd/base/error.h>
#include <tapegrad/nn/data/metrics.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

using namespace tapegrad;
using namespace std::string_view_literals;

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(edit_distances) {
  BOOST_TEST(edit_distance("", "") == 0);
  BOOST_TEST(edit_distance("", "abc") == 3);
  BOOST_TEST(edit_distance("abc", "") == 3);
  BOOST_TEST(edit_distance("kitten", "sitting") == 3);
  BOOST_TEST(edit_distance("flaw", "lawn") == 2);
  BOOST_TEST(edit_distance("ab", "ba") == 2);  // a swap is two edits
  const std::vector<std::string> a = {"ɒ", "dː", "t"}, b = {"ɒ", "d", "t"};
  BOOST_TEST(edit_distance(std::span(a), std::span(b)) == 1);  // tokens, not letters
}

BOOST_AUTO_TEST_CASE(edit_distance_is_a_metric) {
  std::vector<std::string> words;
  for (int i = 0; i < 40; ++i) {
    std::string word;
    for (int k = i; k > 0; k /= 3) word += static_cast<char>('a' + k % 3);
    words.push_back(word);
  }
  for (const auto& x : words) {
    for (const auto& y : words) {
      BOOST_REQUIRE(edit_distance(x, y) == edit_distance(y, x));
      BOOST_REQUIRE((edit_distance(x, y) == 0) == (x == y));
      for (const auto& z : words)
        BOOST_REQUIRE(edit_distance(x, z) <= edit_distance(x, y) + edit_distance(y, z));
    }
  }
}

BOOST_AUTO_TEST_CASE(scores_count_distinct_sources) {
  const std::vector<Example> lines = {
      {"w1", "a b", 1}, {"w2", "c", 2}, {"w1", "a b c d", 3}, {"w3", "x y", 4}};
  const auto references = group_by_source(lines);
  // w1: equal to its second target. w2: one insertion. w3: two substitutions and one insertion.
  const ErrorRates s = score(references, {"a b c  d", "c c", "p q r"}, Tokenizer("space"));
  BOOST_TEST(s.examples == 3);
  BOOST_TEST(s.right == 1);
  BOOST_TEST(s.edits == 0 + 1 + 3);
  BOOST_TEST(s.reference_tokens == 4 + 1 + 2);
  BOOST_TEST(s.exact_match() == 1.0 / 3);
  BOOST_TEST(s.word_error_rate() == 2.0 / 3);
  BOOST_TEST(s.token_error_rate() == 4.0 / 7);
}

BOOST_AUTO_TEST_CASE(the_nearest_target_counts) {
  const std::vector<References> one = {{"w", {"abcdef", "abc", "abd"}}};
  const ErrorRates s = score(one, {"abx"}, Tokenizer("char"));
  BOOST_TEST(s.edits == 1);
  BOOST_TEST(s.reference_tokens == 3);
  const ErrorRates empty = score(one, {""}, Tokenizer("char"));
  BOOST_TEST(empty.edits == 3);
  BOOST_TEST(score({}, {}, Tokenizer()).word_error_rate() == 0.0);
}

BOOST_AUTO_TEST_CASE(wrong_use) {
  BOOST_CHECK_EXCEPTION(score({{"w", {"a"}}}, {}, Tokenizer()), Error, [](const Error& error) {
    return error.what() == "score: got 0 outputs for 1 sources, expected one for each"sv;
  });
}

BOOST_AUTO_TEST_SUITE_END()
