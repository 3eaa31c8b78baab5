#include <tapegrad/autograd/base/error.h>
#include <tapegrad/nn/data/vocabulary.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

using namespace tapegrad;
using Tokens = std::vector<std::string>;
using Ids = std::vector<std::int64_t>;

namespace {
auto says(std::string_view expected) {
  return [expected](const Error& error) { return error.what() == expected; };
}
}  // namespace

BOOST_AUTO_TEST_SUITE(vocabulary)

BOOST_AUTO_TEST_CASE(order_is_by_frequency_then_bytes) {
  const auto v = Vocabulary::build({{"b", "é", "c"}, {"c", "a", "é"}, {"c"}});
  BOOST_TEST(v.tokens() == (Tokens{"c", "é", "a", "b"}), boost::test_tools::per_element());
  BOOST_TEST(v.size() == 8);
  BOOST_TEST(v.id("c") == 4);
  BOOST_TEST(v.id("b") == 7);
  BOOST_TEST(v.id("z") == Vocabulary::unk);
  BOOST_TEST(v.token(5) == "é");
  BOOST_TEST(Vocabulary::build({{"b", "é", "c"}, {"c", "a", "é"}, {"c"}}, 2).tokens() == (Tokens{"c", "é"}),
             boost::test_tools::per_element());
  BOOST_TEST(Vocabulary().size() == 4);
}

BOOST_AUTO_TEST_CASE(literal_special_names_are_ordinary_tokens) {
  const auto v = Vocabulary::build({{"<pad>", "<eos>", "x", "<unk>", "<bos>"}});
  BOOST_TEST(v.id("<pad>") >= Vocabulary::first_token);
  const Tokens text = {"<eos>", "<pad>", "x", "<unk>"};
  BOOST_TEST(v.decode(v.encode(text)) == text, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(encoding_and_decoding) {
  const auto v = Vocabulary::from_tokens({"a", "b"});
  BOOST_TEST(v.encode({"b", "q", "a"}) == (Ids{5, 3, 4}), boost::test_tools::per_element());
  BOOST_TEST(v.decode(Ids{1, 5, 3, 0, 4, 2, 4}) == (Tokens{"b", "<unk>", "a"}),
             boost::test_tools::per_element());
  BOOST_TEST(v.decode(Ids{}).empty());
  BOOST_TEST(v.token(0) == "<pad>");
  BOOST_TEST(v.token(3) == "<unk>");
  BOOST_CHECK_EXCEPTION(v.token(6), Error, says("vocabulary: got id 6, expected 0 to 5"));
  BOOST_CHECK_EXCEPTION(v.decode(Ids{-1}), Error, says("vocabulary: got id -1, expected 0 to 5"));
}

BOOST_AUTO_TEST_CASE(copies_and_stored_lists) {
  Vocabulary copy;
  {
    const auto v = Vocabulary::build({{"x", "y", "x"}});
    copy = v;
  }
  BOOST_TEST(copy.id("y") == 5);
  const auto again = Vocabulary::from_tokens(copy.tokens());
  BOOST_TEST(again.id("x") == 4);
  BOOST_CHECK_EXCEPTION(Vocabulary::from_tokens({"a", "b", "a"}), DataError,
                        says("vocabulary: token 6 repeats token 4, got \"a\""));
  BOOST_CHECK_EXCEPTION(Vocabulary::from_tokens({"a", ""}), DataError, says("vocabulary: token 5 is empty"));
  BOOST_CHECK_EXCEPTION(Vocabulary::from_tokens({"\xFF"}), DataError,
                        says("vocabulary: token 4 is not UTF-8, got \"\\xFF\""));
  BOOST_CHECK_EXCEPTION(Vocabulary::build({}, 0), Error,
                        says("vocabulary: got min_count 0, expected at least 1"));
}

BOOST_AUTO_TEST_SUITE_END()
