#include <tapegrad/nn/io/json_cursor.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <map>
#include <vector>

namespace tapegrad {
namespace {

using namespace std::string_literals;
using test::error_of;

std::string string_of(const std::string& text) {
  JsonCursor json(text, "t");
  std::string result = json.string();
  json.end();
  return result;
}

/// The error of passing over the whole text, or "no error".
std::string check(const std::string& text) {
  return error_of([&] {
    JsonCursor json(text, "t");
    json.skip();
    json.end();
  });
}

std::uint64_t integer_of(const std::string& text) { return JsonCursor(text, "t").unsigned_integer(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(json_cursor)

BOOST_AUTO_TEST_CASE(objects_and_arrays_from_front_to_back) {
  JsonCursor json(
      " {\"a\" : [1,\t2 , 3],\n\"b\":{}, \"c\":[ ],\"d\":null,\"e\":[-1.5e+3,true,{\"x\":[]}]}\r\n", "t");
  std::vector<std::uint64_t> numbers;
  std::vector<std::string> keys;
  json.object([&](const std::string& key) {
    keys.push_back(key);
    if (key == "a")
      json.array([&] { numbers.push_back(json.unsigned_integer()); });
    else if (key == "b")
      json.object([](const std::string&) { BOOST_FAIL("it is empty"); });
    else if (key == "d")
      BOOST_TEST(json.null());
    else
      json.skip();
  });
  json.end();
  BOOST_TEST(keys == (std::vector<std::string>{"a", "b", "c", "d", "e"}), boost::test_tools::per_element());
  BOOST_TEST(numbers == (std::vector<std::uint64_t>{1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(strings) {
  BOOST_TEST(string_of(R"("")") == "");
  BOOST_TEST(string_of(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  BOOST_TEST(string_of(R"("\u0041\u00e9\u20AC\ud83d\ude00")") == "Aé€😀");
  BOOST_TEST(string_of("\"é€😀\x7f\"") == "é€😀\x7f");
  BOOST_TEST(string_of(R"("\u0000")") == "\0"s);
  BOOST_TEST(check("\"a") == "t: byte 2: the JSON ends too early");
  BOOST_TEST(check("\"\\") == "t: byte 2: the JSON ends too early");
  BOOST_TEST(check("\"\\x\"") == "t: byte 3: unknown escape in a string");
  BOOST_TEST(check("\"\\u12g4\"") == "t: byte 5: expected four hexadecimal digits after \\u");
  BOOST_TEST(check("\"\\u12") == "t: byte 5: the JSON ends too early");
  BOOST_TEST(check("\"a\nb\"") == "t: byte 2: a control character in a string");
  for (const char* lone :
       {"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\\ud800x\""})
    BOOST_TEST(check(lone).ends_with("a lone surrogate in a string"), lone);
}

BOOST_AUTO_TEST_CASE(utf8_is_checked) {
  for (const char* bad :
       {"\xff", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80", "\xe2\x82", "\xe2\x82x"})
    BOOST_TEST(check("\"a"s + bad + "\"") == "t: byte 2: invalid UTF-8 in a string");
  for (const char* good :
       {"\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    BOOST_TEST(string_of("\""s + good + "\"") == good);
}

BOOST_AUTO_TEST_CASE(integers) {
  BOOST_TEST(integer_of(" 0") == 0u);
  BOOST_TEST(integer_of("18446744073709551615") == 18446744073709551615u);
  BOOST_TEST(
      error_of([] { integer_of("18446744073709551616"); }).ends_with("an integer that does not fit 64 bits"));
  BOOST_TEST(error_of([] {
               integer_of("99999999999999999999999");
             }).ends_with("an integer that does not fit 64 bits"));
  BOOST_TEST(error_of([] { integer_of("-0"); }) == "t: byte 0: expected a non-negative integer");
  BOOST_TEST(error_of([] { integer_of("\"2\""); }) == "t: byte 0: expected a non-negative integer");
  BOOST_TEST(error_of([] { integer_of(""); }) == "t: byte 0: the JSON ends too early");
  BOOST_TEST(error_of([] { integer_of("08"); }) == "t: byte 2: an integer with a leading zero");
  BOOST_TEST(error_of([] { integer_of("2.0"); }) == "t: byte 1: expected a plain integer");
  BOOST_TEST(error_of([] { integer_of("2e0"); }) == "t: byte 1: expected a plain integer");
}

BOOST_AUTO_TEST_CASE(what_is_passed_over_is_checked_too) {
  for (const char* good :
       {"0", "-0", "-12.25E-7", "1e308", "0e999", "-1e-999", "true", "false", "null", "[[],{}]", " \t\r\n1 "})
    BOOST_TEST(check(good) == "no error", good);
  const std::map<std::string, std::string> bad = {
      {"", "t: byte 0: the JSON ends too early"},
      {"{\"a\":1,}", "t: byte 7: expected '\"'"},
      {"{\"a\" 1}", "t: byte 5: expected ':'"},
      {"{\"a\":1 \"b\":2}", "t: byte 7: expected ',' or '}'"},
      {"[1,]", "t: byte 3: expected a JSON value"},
      {"[1", "t: byte 2: the JSON ends too early"},
      {"{/*x*/}", "t: byte 1: expected '\"'"},
      {"NaN", "t: byte 0: expected a JSON value"},
      {"nul", "t: byte 0: expected a JSON value"},
      {"truth", "t: byte 0: expected a JSON value"},
      {"nullx", "t: byte 4: more text after the JSON value"},
      {"+1", "t: byte 0: expected a JSON value"},
      {"-", "t: byte 1: expected a digit"},
      {"01", "t: byte 2: a number with a leading zero"},
      {"1.", "t: byte 2: expected a digit"},
      {"1e+", "t: byte 3: expected a digit"},
      {"1e309", "t: byte 5: a number out of range"},
      {"-18e99999999999999999999", "t: byte 24: a number out of range"},
      {"{} {}", "t: byte 3: more text after the JSON value"},
      {"{}\0"s, "t: byte 2: more text after the JSON value"},
      {"\xef\xbb\xbf{}", "t: byte 0: expected a JSON value"},
  };
  for (const auto& [text, error] : bad) BOOST_TEST(check(text) == error, text << " gives " << check(text));
}

BOOST_AUTO_TEST_CASE(nesting_is_bounded) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  BOOST_TEST(check(nested(64)) == "no error");
  BOOST_TEST(check(nested(65)) == "t: byte 65: JSON nested deeper than 64 levels");
  BOOST_TEST(check(nested(1000000)) == "t: byte 65: JSON nested deeper than 64 levels");
  BOOST_TEST(check("[" + nested(63) + "," + nested(63) + "]") == "no error");  // depth, not count
}

BOOST_AUTO_TEST_CASE(positions_begin_at_the_base) {
  JsonCursor json("[1]", "file", 100);
  BOOST_TEST(error_of([&] { json.unsigned_integer(); }) == "file: byte 100: expected a non-negative integer");
  BOOST_CHECK_THROW(json.fail("no"), DataError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
