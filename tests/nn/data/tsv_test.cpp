#include <sys/fsuid.h>
#include <sys/stat.h>
#include <tapegrad/autograd/base/error.h>
#include <tapegrad/nn/data/tsv.h>
#include <unistd.h>

#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>
#include <string_view>

using namespace tapegrad;
using namespace std::string_literals;
using namespace std::string_view_literals;
using test::ScratchFolder;

namespace {

/// The examples as `source=target@line` joined by `;`, or the text of the DataError.
std::string outcome(std::string_view bytes, const TsvOptions& options = {}) {
  const ScratchFolder folder;
  const std::string path = folder.write("d.tsv", bytes);
  try {
    std::string text;
    for (const Example& e : read_tsv(path, options)) {
      text += (text.empty() ? "" : ";") + e.source + "=" + e.target + "@" + std::to_string(e.line);
    }
    return text;
  } catch (const DataError& error) {
    return folder.without(error.what());
  }
}

std::string failure(const std::string& path) {
  try {
    read_tsv(path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tsv)

BOOST_AUTO_TEST_CASE(lines_and_their_ends) {
  BOOST_TEST(outcome("a\tb\nc\td\n") == "a=b@1;c=d@2");
  BOOST_TEST(outcome("a\tb\nc\td") == "a=b@1;c=d@2");
  BOOST_TEST(outcome("a\tb\r\nc\td\r\n") == "a=b@1;c=d@2");
  BOOST_TEST(outcome("\xEF\xBB\xBF"sv
                     "a\tb\n") == "a=b@1");
  BOOST_TEST(outcome("a\uFEFF\tb\n") == "a\uFEFF=b@1");
  BOOST_TEST(outcome(" a  b \t c \n") == " a  b = c @1");
  BOOST_TEST(outcome("007\t<pad>\n007\t<pad>\n") == "007=<pad>@1;007=<pad>@2");
}

BOOST_AUTO_TEST_CASE(what_is_not_two_columns_of_text) {
  const auto no_examples = "d.tsv:1:1: no examples, got an empty file, expected lines of source<TAB>target";
  BOOST_TEST(outcome("") == no_examples);
  BOOST_TEST(outcome("\xEF\xBB\xBF") == no_examples);
  BOOST_TEST(outcome("\n") == "d.tsv:1:1: empty line, got nothing, expected source<TAB>target");
  BOOST_TEST(outcome("a\tb\n\n") == "d.tsv:2:1: empty line, got nothing, expected source<TAB>target");
  BOOST_TEST(outcome("a\tb\nhaz ház\n") == "d.tsv:2:1: no tab, got \"haz ház\", expected source<TAB>target");
  BOOST_TEST(outcome("é\tb\tc\td\n") == "d.tsv:1:4: too many columns, got 4, expected 2 (source<TAB>target)");
  BOOST_TEST(outcome("\tb\n") == "d.tsv:1:1: empty source, got \"\", expected text before the tab");
  BOOST_TEST(outcome("  \tb\n") == "d.tsv:1:1: empty source, got \"  \", expected text before the tab");
  BOOST_TEST(outcome("é\t\n") == "d.tsv:1:3: empty target, got \"\", expected text after the tab");
  BOOST_TEST(outcome("é\t \n") == "d.tsv:1:3: empty target, got \" \", expected text after the tab");
}

BOOST_AUTO_TEST_CASE(what_is_not_text) {
  BOOST_TEST(outcome("a\tb\nx\ty\0z\n"sv) == "d.tsv:2:4: NUL byte, got \\x00, expected UTF-8 text");
  BOOST_TEST(outcome("é\tb\xFF\n") == "d.tsv:1:4: invalid UTF-8, got \\xFF, expected UTF-8 text");
  BOOST_TEST(outcome("a\t\xE2\x82") == "d.tsv:1:3: invalid UTF-8, got \\xE2, expected UTF-8 text");
  BOOST_TEST(outcome("a\tb\rc\td\n") ==
             "d.tsv:1:4: carriage return inside a line, got \\r, expected lines that end in \\n or \\r\\n");
  BOOST_TEST(outcome("a\tb\r\r\n") ==
             "d.tsv:1:4: carriage return inside a line, got \\r, expected lines that end in \\n or \\r\\n");
  BOOST_TEST(outcome("a\tb\r") ==
             "d.tsv:1:4: carriage return inside a line, got \\r, expected lines that end in \\n or \\r\\n");
  const auto utf16 =
      "d.tsv:1:1: UTF-16 text, got its byte order mark, expected UTF-8 (iconv -f UTF-16 -t UTF-8 converts)";
  BOOST_TEST(outcome("\xFF\xFE"sv
                     "a\0\t\0b\0\n\0"sv) == utf16);
  BOOST_TEST(outcome("\xFE\xFF\0a\0\t\0b\0\n"sv) == utf16);
}

BOOST_AUTO_TEST_CASE(limits_hold) {
  const std::string seven = "abc\tdef";
  const auto long_line = "d.tsv:2:1: line too long, got more than 7 bytes, expected at most that";
  BOOST_TEST(outcome("a\tb\n" + seven + "\n", {.max_line = 7}) == "a=b@1;abc=def@2");
  BOOST_TEST(outcome("a\tb\n" + seven + "\r\n", {.max_line = 7}) == "a=b@1;abc=def@2");
  BOOST_TEST(outcome("a\tb\n" + seven, {.max_line = 7}) == "a=b@1;abc=def@2");
  BOOST_TEST(outcome("a\tb\n" + seven + "g\n", {.max_line = 7}) == long_line);
  BOOST_TEST(outcome("a\tb\n" + seven + "g", {.max_line = 7}) == long_line);
  BOOST_TEST(outcome("a\tb\n" + seven + "\r", {.max_line = 7}) == long_line);
  BOOST_TEST(outcome("a\t" + std::string(999'998, 'b') + "\n").size() == 1'000'002U);
  BOOST_TEST(outcome("a\t" + std::string(999'999, 'b') + "\n") ==
             "d.tsv:1:1: line too long, got more than 1000000 bytes, expected at most that");
  BOOST_TEST(outcome("a\tb\nc\td\n", {.max_bytes = 8}) == "a=b@1;c=d@2");
  BOOST_TEST(outcome("a\tb\nc\td\n", {.max_bytes = 7}) ==
             "d.tsv:2:1: file too large, got more than 7 bytes, expected at most that");
}

BOOST_AUTO_TEST_CASE(lines_that_straddle_the_buffer) {
  std::string bytes;
  for (int i = 0; i < 30'000; ++i)
    bytes += "forrás" + std::to_string(i) + "\tcél" + (i % 3 == 0 ? "\r\n" : "\n");
  const ScratchFolder folder;
  const auto examples = read_tsv(folder.write("d.tsv", bytes));
  BOOST_REQUIRE(examples.size() == 30'000U);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    BOOST_REQUIRE(examples[i].source == "forrás" + std::to_string(i));
    BOOST_REQUIRE(examples[i].target == "cél");
    BOOST_REQUIRE(examples[i].line == static_cast<std::int64_t>(i) + 1);
  }
}

BOOST_AUTO_TEST_CASE(only_regular_readable_files) {
  const ScratchFolder folder;
  const auto said = [&folder](const std::string& path) { return folder.without(failure(path)); };
  std::filesystem::create_directory(folder / "dir");
  BOOST_TEST(said(folder / "dir") == "dir: cannot read, got a directory, expected a regular file");
  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  BOOST_TEST(said(folder / "pipe") == "pipe: cannot read, got a named pipe, expected a regular file");
  BOOST_TEST(said("/dev/zero") == "/dev/zero: cannot read, got a device, expected a regular file");
  BOOST_TEST(said(folder / "none.tsv") ==
             "none.tsv: cannot open, got \"No such file or directory\", expected a readable file");
  std::filesystem::create_symlink("nowhere", folder / "link");
  BOOST_TEST(said(folder / "link") ==
             "link: cannot open, got \"No such file or directory\", expected a readable file");
  BOOST_TEST(said("") == ": cannot open, got \"No such file or directory\", expected a readable file");
  BOOST_TEST(said("a\0b"s) == "a\\u{0000}b: cannot open, got a NUL byte in the file name");
  BOOST_TEST(said("/proc/self/mem") ==
             "/proc/self/mem:0: cannot read, got \"Input/output error\", expected a readable file");
}

BOOST_AUTO_TEST_CASE(a_file_without_permission) {
  const ScratchFolder folder;
  const std::string path = folder.write("secret.tsv", "a\tb\n");
  std::filesystem::permissions(folder / "", std::filesystem::perms::all);
  std::filesystem::permissions(path, std::filesystem::perms::none);
  const bool root = ::geteuid() == 0;
  if (root) ::setfsuid(65534);  // root reads everything; for one call this thread is nobody
  const std::string said = folder.without(failure(path));
  if (root) ::setfsuid(0);
  BOOST_TEST(said == "secret.tsv: cannot open, got \"Permission denied\", expected a readable file");
}

BOOST_AUTO_TEST_CASE(standard_input_is_read_by_the_same_rules) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  BOOST_REQUIRE(::write(ends[1], "egy\r\nkettő\nhá\xFFrom", 20) == 20);
  ::close(ends[1]);
  LineReader reader(ends[0], "<stdin>");
  std::string line;
  BOOST_TEST((reader.next(line) && line == "egy"));
  BOOST_TEST((reader.next(line) && line == "kettő" && reader.number() == 2));
  BOOST_CHECK_EXCEPTION(reader.next(line), DataError, [](const DataError& error) {
    return error.what() == "<stdin>:3:3: invalid UTF-8, got \\xFF, expected UTF-8 text"sv;
  });
  ::close(ends[0]);
}

BOOST_AUTO_TEST_CASE(grouping_by_source) {
  const auto groups = group_by_source({{"b", "1", 1}, {"a", "2", 2}, {"b", "3", 3}, {"b", "1", 4}});
  BOOST_REQUIRE(groups.size() == 2U);
  BOOST_TEST(groups[0].source == "b");
  BOOST_TEST(groups[0].targets == (std::vector<std::string>{"1", "3"}), boost::test_tools::per_element());
  BOOST_TEST(groups[1].source == "a");
}

BOOST_AUTO_TEST_SUITE_END()
