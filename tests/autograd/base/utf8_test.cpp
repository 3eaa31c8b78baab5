#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace tapegrad;
using namespace std::string_view_literals;

BOOST_AUTO_TEST_SUITE(utf8)

BOOST_AUTO_TEST_CASE(well_formed_text_has_no_bad_byte) {
  for (const std::string_view text :
       {""sv, "plain"sv, "ɒ dː"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv,
        "\xEE\x80\x80"sv, "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv, "a\0b"sv,
        "\xEF\xBB\xBFx"sv}) {
    BOOST_TEST(first_bad_utf8(text) == std::string_view::npos);
  }
}

BOOST_AUTO_TEST_CASE(the_first_bad_byte_is_found) {
  const std::vector<std::pair<std::string_view, std::size_t>> cases = {
      {"\xFF", 0},
      {"ab\x80", 2},                // lone continuation
      {"a\xC0\x80", 1},             // overlong NUL
      {"\xC1\xBF", 0},              // overlong
      {"\xE0\x80\x80", 0},          // overlong
      {"\xE0\x9F\xBF", 0},          // overlong
      {"ok\xED\xA0\x80", 2},        // surrogate
      {"\xED\xBF\xBF", 0},          // surrogate
      {"\xF0\x8F\xBF\xBF", 0},      // overlong
      {"\xF4\x90\x80\x80", 0},      // above U+10FFFF
      {"\xF5\x80\x80\x80", 0},      //
      {"\xF8\x88\x80\x80\x80", 0},  // five bytes
      {"é\xE2\x82", 2},             // cut short by the end
      {"\xF0\x9F\x98", 0},          //
      {"\xE2\x82\x41", 0},          // a letter where a continuation belongs
      {"\xF0\x9F\x98\x41", 0},      //
      {"é\xC3", 2},
  };
  for (const auto& [text, at] : cases) BOOST_TEST(first_bad_utf8(text) == at, in_quotes(text));
}

BOOST_AUTO_TEST_CASE(every_code_point_survives_and_every_cut_is_caught) {
  for (std::uint32_t c = 0; c <= 0x10FFFF; c += 7) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    const auto put = [&text](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | (c >> 6)), put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 0x3F)), put(0x80 | ((c >> 6) & 0x3F)),
          put(0x80 | (c & 0x3F));
    }
    BOOST_REQUIRE(first_bad_utf8(text) == std::string::npos);
    BOOST_REQUIRE(count_code_points(text) == 1);
    if (text.size() > 1)
      BOOST_REQUIRE(first_bad_utf8(std::string_view(text).substr(0, text.size() - 1)) == 0);
  }
}

BOOST_AUTO_TEST_CASE(splitting_into_code_points) {
  BOOST_TEST(code_points("aːé😀") == (std::vector<std::string_view>{"a", "ː", "é", "😀"}),
             boost::test_tools::per_element());
  BOOST_TEST(code_points("e\u0301").size() == 2U);  // a letter and a combining accent
  BOOST_TEST(code_points("").empty());
  BOOST_CHECK_EXCEPTION(code_points("ab\xFF"), DataError, [](const DataError& error) {
    return error.what() == R"(invalid UTF-8 at byte 3 of "ab\xFF")"sv;
  });
}

BOOST_AUTO_TEST_CASE(what_cannot_be_seen_is_escaped_in_messages) {
  BOOST_TEST(in_quotes("say \"no\\yes\"") == R"("say \"no\\yes\"")");
  BOOST_TEST(in_quotes("a\tb\r\n\0\x1B[2J"sv) == R"("a\tb\r\n\u{0000}\u{001B}[2J")");
  BOOST_TEST(in_quotes("x\u202Ey\u200Dz\uFEFF") == R"("x\u{202E}y\u{200D}z\u{FEFF}")");
  BOOST_TEST(in_quotes("\xE2\x82") == R"("\xE2\x82")");
  BOOST_TEST(in_quotes("ɒ dː") == "\"ɒ dː\"");
  BOOST_TEST(in_quotes("éééé", 3) == "\"ééé…\"");
  BOOST_TEST(in_quotes("ééé", 3) == "\"ééé\"");
  BOOST_TEST(printable("my \"file\"\n") == "my \"file\"\\n");
}

BOOST_AUTO_TEST_SUITE_END()
