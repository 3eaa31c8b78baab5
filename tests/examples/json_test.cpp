#include "examples/seq2seq/json.h"

#include <tapegrad/autograd/base/error.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>

using namespace tapegrad;
using namespace tapegrad::seq2seq;
using namespace std::string_literals;

namespace {

/// The object written back, or the text of the DataError.
std::string outcome(const std::string& text) {
  try {
    return to_json(parse_json_object(text, "c.json"));
  } catch (const DataError& error) {
    return error.what();
  }
}

std::string strings_outcome(const std::string& text) {
  try {
    return to_json(parse_json_strings(text, "meta"));
  } catch (const DataError& error) {
    return error.what();
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(strict_json)

BOOST_AUTO_TEST_CASE(scalars_come_back) {
  BOOST_TEST(outcome("{}") == "{}");
  BOOST_TEST(outcome(" {\"a\": 1, \"b\":-2,\n\"c\":0.1, \"d\":true, \"e\":null, \"f\":\"\\u0151\\\"x\"} ") ==
             "{\"a\":1,\"b\":-2,\"c\":0.1,\"d\":true,\"e\":null,\"f\":\"ő\\\"x\"}");
  BOOST_TEST(outcome("{\"a\":18446744073709551615,\"b\":9223372036854775807,\"c\":-9223372036854775808}") ==
             "{\"a\":18446744073709551615,\"b\":9223372036854775807,\"c\":-9223372036854775808}");
  const auto members = parse_json_object("{\"a\":3.0,\"b\":1e3,\"c\":3}", "x");
  BOOST_TEST(std::holds_alternative<double>(members[0].second));
  BOOST_TEST(std::holds_alternative<double>(members[1].second));
  BOOST_TEST(std::holds_alternative<std::int64_t>(members[2].second));
}

BOOST_AUTO_TEST_CASE(what_is_not_json) {
  BOOST_TEST(outcome("") == "c.json:1:1: not JSON, got the end");
  BOOST_TEST(outcome("{\"a\":1") == "c.json:1:7: not JSON, got the end");
  BOOST_TEST(outcome("{\"a\":1,}") == "c.json:1:8: not JSON, got \"}\"");
  BOOST_TEST(outcome("{\n  \"ő\": x}") == "c.json:2:8: not JSON, got \"x}\"");
  BOOST_TEST(outcome("{} {}") == "c.json:1:4: not JSON, got \"{}\"");
  BOOST_TEST(outcome("{}\0\0"s) == "c.json: NUL byte, expected JSON text");
  BOOST_TEST(outcome("// no\n{}") == "c.json:1:1: not JSON, got \"// no\\n{}\"");
  BOOST_TEST(outcome("{\"a\":NaN}") == "c.json:1:6: not JSON, got \"NaN}\"");
  BOOST_TEST(outcome("{\"a\":08}") == "c.json:1:7: not JSON, got \"8}\"");
  BOOST_TEST(outcome("{\"a\":\"\xED\xA0\x80\"}").starts_with("c.json:1:8: not JSON, got"));
  BOOST_TEST(outcome("{\"a\":\"\\ud800\"}").starts_with("c.json:1:"));
  BOOST_TEST(outcome("{\"a\":1e999}") == "c.json:1:10: number out of range, got 1e999");
  BOOST_TEST(outcome("\xEF\xBB\xBF{}") == "c.json:1:1: byte order mark, expected UTF-8 without one");
}

BOOST_AUTO_TEST_CASE(what_is_not_one_flat_object) {
  BOOST_TEST(outcome("{\"a\":1,\"b\":2,\"a\":3}") == "c.json: key \"a\" stands twice");
  BOOST_TEST(outcome("{\"a\":1,\"\\u0061\":3}") == "c.json: key \"a\" stands twice");
  BOOST_TEST(outcome("[1]") == "c.json: top level, got an array, expected an object");
  BOOST_TEST(outcome("3") == "c.json: top level, got 3, expected an object");
  BOOST_TEST(outcome("{\"a\":[1]}") == "c.json: \"a\": nested value, got an array, expected plain values");
  BOOST_TEST(outcome("{\"a\":{}}") == "c.json: \"a\": nested value, got an object, expected plain values");
  BOOST_TEST(outcome("{\"a\":18446744073709551616}") ==
             "c.json: \"a\": the number, got 18446744073709551616, expected a whole number of 64 bits");
  std::string deep = "{\"a\":";
  deep.append(900'000, '[');
  BOOST_TEST(outcome(deep) == "c.json: \"a\": nested value, got an array, expected plain values");
}

BOOST_AUTO_TEST_CASE(lists_of_strings) {
  BOOST_TEST(strings_outcome("[\"a\", \"<pad>\", \"\\n\", \"ő\"]") == "[\"a\",\"<pad>\",\"\\n\",\"ő\"]");
  BOOST_TEST(strings_outcome("[]") == "[]");
  BOOST_TEST(strings_outcome("[\"a\", 1]") == "meta: element, got 1, expected strings");
  BOOST_TEST(strings_outcome("[[\"a\"]]") == "meta: nested value, got an array, expected strings");
  BOOST_TEST(strings_outcome("{}") == "meta: top level, got an object, expected an array");
}

BOOST_AUTO_TEST_SUITE_END()
