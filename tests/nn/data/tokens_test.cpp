#include <tapegrad/autograd/base/error.h>
#include <tapegrad/nn/data/tokens.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

using namespace tapegrad;
using namespace std::string_view_literals;
using Tokens = std::vector<std::string>;

BOOST_AUTO_TEST_SUITE(tokens)

BOOST_AUTO_TEST_CASE(by_character) {
  const Tokenizer tokenizer("char");
  BOOST_TEST(tokenizer.name() == "char");
  BOOST_TEST(Tokenizer().name() == "char");
  BOOST_TEST(tokenizer.split("két ló") == (Tokens{"k", "é", "t", " ", "l", "ó"}),
             boost::test_tools::per_element());
  BOOST_TEST(tokenizer.join({"k", "é", "t", " ", "l", "ó"}) == "két ló");
  BOOST_TEST(tokenizer.split("").empty());
}

BOOST_AUTO_TEST_CASE(by_space) {
  const Tokenizer tokenizer("space");
  BOOST_TEST(tokenizer.name() == "space");
  BOOST_TEST(tokenizer.split("  ɒ  dː t ") == (Tokens{"ɒ", "dː", "t"}), boost::test_tools::per_element());
  BOOST_TEST(tokenizer.split("a\u00A0b") == (Tokens{"a\u00A0b"}), boost::test_tools::per_element());
  BOOST_TEST(tokenizer.split("   ").empty());
  BOOST_TEST(tokenizer.join({"ɒ", "dː", "t"}) == "ɒ dː t");
  BOOST_TEST(tokenizer.join({}) == "");
}

BOOST_AUTO_TEST_CASE(bad_text_and_unknown_names) {
  const auto says = [](std::string_view expected) {
    return [expected](const Error& error) { return error.what() == expected; };
  };
  BOOST_CHECK_EXCEPTION(Tokenizer("space").split("a b\xC0"), DataError,
                        says(R"(invalid UTF-8 at byte 4 of "a b\xC0")"));
  BOOST_CHECK_EXCEPTION(Tokenizer("word"), Error, says(R"(tokens: got "word", expected "char" or "space")"));
  BOOST_CHECK_EXCEPTION(Tokenizer("bpe:500"), Error,
                        says(R"(tokens: got "bpe:500", expected "char" or "space" )"
                             "(byte-pair encoding is not available yet)"));
}

BOOST_AUTO_TEST_SUITE_END()
