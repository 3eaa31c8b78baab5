// The text of a recording as JSON; tests/autograd/inspect/check_record.py reads whole ones with another
// reader.
#include <boost/test/unit_test.hpp>

#include <limits>

#include <tapegrad/autograd/inspect/explain/explanation.h>
#include <tapegrad/autograd/inspect/explain/json_blob.h>
#include <tapegrad/autograd/inspect/page/json_text.h>
#include <tapegrad/autograd/ops.h>

using namespace tapegrad;

namespace {

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TapeRecord square_of(const std::vector<double>& x, DType dtype = DType::f64,
                     const RecordOptions& options = {}) {
  Tape tape({.dtype = dtype});
  const Var v = tape.variable(Tensor::from(x, {static_cast<Index>(x.size())}, dtype));
  return record(sum(square(v)), options);
}

const char* const notices[] = {"rounded to f32", "sampled numerical gradients left out",
                               "\"numerical gradients left out"};

}  // namespace

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(numbers_and_strings_read_back) {
  JsonText json;
  json.open('{').key("a\"<\n").string("\\").key("numbers").open('[');
  for (const double x :
       {0.1, -0.0, 1e300, std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()})
    json.number(x);
  json.close(']').key("flag").boolean(false).close('}');
  BOOST_TEST(json.text() == R"({"a\"\u003c\u000a":"\\","numbers":[0.1,-0,1e+300,null,null],"flag":false})");
  BOOST_TEST(base64("abcd", 4) == "YWJjZA==");
  BOOST_TEST(base64("abc", 3) == "YWJj");
  BOOST_TEST(base64("", 0).empty());
}

/// A browser reads U+FFFD where bytes are not UTF-8: the fingerprint is over what it reads.
BOOST_AUTO_TEST_CASE(what_is_not_utf8_is_replaced) {
  const std::string bad = "\xef\xbf\xbd", good = "aé中😀\xed\x9f\xbf\xf4\x8f\xbf\xbf";
  BOOST_TEST(valid_utf8(good) == good);
  BOOST_TEST(valid_utf8("a\xff"
                        "b") == "a" + bad + "b");
  BOOST_TEST(valid_utf8("\xe4\xb8") == bad + bad);  // cut off
  BOOST_TEST(valid_utf8("\xc3(") == bad + "(");
  BOOST_TEST(valid_utf8("\xc0\x80") == bad + bad);  // overlong
  BOOST_TEST(valid_utf8("\xe0\x9f\xbf") == bad + bad + bad);
  BOOST_TEST(valid_utf8("\xf0\x8f\xbf\xbf") == bad + bad + bad + bad);
  BOOST_TEST(valid_utf8("\xed\xa0\x80") == bad + bad + bad);            // a surrogate
  BOOST_TEST(valid_utf8("\xf4\x90\x80\x80") == bad + bad + bad + bad);  // above U+10FFFF
  BOOST_TEST(JsonText().string("\x80<").text() == "\"" + bad + "\\u003c\"");
}

BOOST_AUTO_TEST_CASE(a_value_is_written_whole) {
  TapeRecord taken = square_of({3});
  taken.values.resize(1);
  taken.order = {0};
  taken.loss = 0;
  RecordedValue& v = taken.values[0];
  v.module = "net";
  v.label = "x";
  v.version = 2;
  v.attributes = {{"flag", true},
                  {"rate", 0.5},
                  {"kind", std::string("k")},
                  {"keep", std::vector<std::uint8_t>{1, 0}},
                  {"limit", INFINITY}};
  const std::string text = to_json(taken);
  BOOST_TEST(
      holds(text,
            R"({"schema":"tape/1","nodes":[{"id":0,"op":"variable","module":"net","label":"x",)"
            R"("formula":"","shape":[1],"inputs":[],"attrs":{"flag":true,"rate":0.5,"kind":"k",)"
            R"("keep":[1,0],"limit":null},"output":0,"val":[0,1],"grad":[1,1],"edges":[],"num":null,)"
            R"("num_err":null,"src":"","t_fwd":null,"t_bwd":null,"flops":0,"version":2,"nonfinite":null}],)"
            R"("order":[0],"loss":0,"labs":[],"lessons":[],"parameters":[],"what_ifs":[],"rules":{},)"
            R"("tokens":{"source":[],"target":[],"label":[],"target_vocabulary":[]},)"
            R"("blob":"AAAAAAAACEAAAAAAAAAYQA==","blob32":"","meta":{"program":"tapegrad","title":"",)"
            R"("date":null,"dtype":"f64","seed":0,"loss":3,"broken":null,"optimizer":"","model":{},)"
            R"("notices":[]},"fingerprint":")"),
      text);
}

BOOST_AUTO_TEST_CASE(equal_arrays_are_kept_once) {
  JsonBlob blob(false);
  blob.put({1, 2}, true);
  const JsonBlob::Place other = blob.put({1, 2, 3}, true), again = blob.put({1, 2}, true),
                        rounded = blob.put({1, 2, 3}, false), zero = blob.put({0.0}, true),
                        minus = blob.put({-0.0}, true);
  BOOST_TEST(other.offset == 2U);
  BOOST_TEST(again.offset == 0U);
  BOOST_TEST((!rounded.f32 && rounded.offset == 2U));  // it is there already
  BOOST_TEST(zero.offset != minus.offset);
  BOOST_TEST(blob.text64().size() == 76U);  // 7 numbers of 8 bytes
  BOOST_TEST(blob.text32().empty());
}

BOOST_AUTO_TEST_CASE(what_f32_cannot_hold_is_not_rounded) {
  JsonBlob blob(false);
  BOOST_TEST(blob.put({0.1, INFINITY, NAN}, false).f32);
  BOOST_TEST(!blob.put({1e39, 1}, false).f32);
  BOOST_TEST(!blob.put({1e-40}, false).f32);
  BOOST_TEST(blob.put({0, 0}, false).f32);
  BOOST_TEST(!blob.put({0.1}, true).f32);
}

BOOST_AUTO_TEST_CASE(a_recording_in_f32_is_kept_in_f32) {
  const std::string text = to_json(square_of({0.1, 0.3}, DType::f32, {.numeric = Numeric::all}));
  BOOST_TEST(holds(text, R"("val":[0,2,"f32"],"grad":[2,2,"f32"])"), text);
  BOOST_TEST(holds(text, R"("num":[0,2],)"), text);  // computed in f64
}

BOOST_AUTO_TEST_CASE(a_page_that_would_be_too_large_is_cut_in_steps) {
  std::vector<double> x(3000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1 + 0.001 * static_cast<double>(i);
  Explanation what;
  what.tape = square_of(x, DType::f64, {.numeric = Numeric::sampled, .small = 8});
  RecordedCheck& whole = what.tape.values[1].check;
  whole.cells.clear();
  whole.values = what.tape[1].gradient;
  std::size_t size = SIZE_MAX;
  for (int step = 0; step < 4; ++step) {
    const std::string text = to_json(what, {.max_bytes = size - 1});
    BOOST_TEST(text.size() < size);
    size = text.size();
    BOOST_TEST(holds(text, notices[0]) == (step > 0));
    BOOST_TEST(holds(text, notices[1]) == (step == 2));
    BOOST_TEST(holds(text, notices[2]) == (step == 3));
    BOOST_TEST(holds(text, "\"num_cells\":") == (step < 2));
  }
}

BOOST_AUTO_TEST_CASE(what_still_does_not_fit_is_left_out_largest_first) {
  Tape tape({.dtype = DType::f64});
  std::vector<double> numbers(4000);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = 0.1 + 0.001 * static_cast<double>(i);
  numbers[7] = INFINITY;
  const Var large = tape.variable(Tensor::from(numbers, {4000}, DType::f64)), few = tape.variable({{3, -4}});
  Explanation what;
  what.tape = record(add(sum(large), sum(square(few))));
  what.tape.values[0].gradient = numbers;
  what.parameters.push_back({"p", large.id().node, std::vector<double>(4000, 0.5)});
  const std::string all = to_json(what), some = to_json(what, {.max_bytes = 6000});
  BOOST_TEST((all.size() > 60'000 && all.find("\"summary\"") == all.npos));
  BOOST_TEST(some.size() <= 6000u);
  BOOST_TEST(holds(some, "1 of 6 arrays left out, and 0 of 0 attention layers: the page would be too large"),
             some);
  const std::string summary = R"({"min":0.1,"max":4.099,"mean":2.1,"norm":151.542,"finite":false})";
  BOOST_TEST(holds(some, R"("val":null,"grad":null,"summary":{"value":)" + summary + R"(,"gradient":)" +
                             summary + R"(},"edges":[],"num":null)"),
             some);
  BOOST_TEST(
      holds(some, R"("update":null,"summary":{"min":0.5,"max":0.5,"mean":0.5,"norm":31.6228,"finite":true})"),
      some);
  BOOST_TEST(holds(some, R"("edges":[{"input":0,"to":0,"shape":[4000]}])"), some);
  BOOST_TEST(holds(some, R"("shape":[1,2],"inputs":[],"attrs":{},"output":0,"val":[)"), some);
  const std::string least = to_json(what, {.max_bytes = 1});
  BOOST_TEST(least.size() <= some.size());
  BOOST_TEST(holds(least, "1 of 6 arrays left out"), least);  // the others are as short as their summaries
}

BOOST_AUTO_TEST_CASE(the_same_run_gives_the_same_text) {
  BOOST_TEST(to_json(square_of({1, 2})) == to_json(square_of({1, 2})));
  BOOST_TEST(to_json(square_of({1, 2})) != to_json(square_of({1, 2.5})));
}

BOOST_AUTO_TEST_SUITE_END()
