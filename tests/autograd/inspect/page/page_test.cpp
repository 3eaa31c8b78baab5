#include <tapegrad/autograd/inspect/explain/rule_text.h>

#include <tapegrad/autograd/ops.h>

#include <tests/support/explained.h>
#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

std::size_t count(const std::string& text, std::string_view word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++found;
  return found;
}

constexpr const char* a_rule = R"(struct Other final {
  void backward(int) const { other(); }
};

struct Twice final {
  Formula formula() const override { return "y = 2 x;  dx = 2 dy"; }
  // } and "{
  void backward(const BackwardArgs& args) const override {
    say("}");
    if (args) { twice(); }
  }
};

Var thrice(const Var& a) {
  return fused_elementwise(
      "thrice", a, [](auto x) { return 3 * x; },  // ;
      [](auto, auto, auto dy) { return 3 * dy; });
}
)";

}  // namespace

BOOST_AUTO_TEST_SUITE(explorer_page)

BOOST_AUTO_TEST_CASE(text_of_a_rule) {
  const auto rule = find_rule(a_rule, "twice.cpp", 6);
  BOOST_REQUIRE(rule.has_value());
  BOOST_TEST(rule->place == "twice.cpp:8");
  BOOST_TEST(
      rule->text ==
      "void backward(const BackwardArgs& args) const override {\n  say(\"}\");\n  if (args) { twice(); }\n}");
  BOOST_TEST(find_rule(a_rule, "twice.cpp", 2)->text == "void backward(int) const { other(); }");
  const auto statement = find_rule(a_rule, "twice.cpp", 15);
  BOOST_REQUIRE(statement.has_value());
  BOOST_TEST(statement->place == "twice.cpp:15");
  BOOST_TEST(statement->text ==
             "fused_elementwise(\n    \"thrice\", a, [](auto x) { return 3 * x; },  // ;\n"
             "    [](auto, auto, auto dy) { return 3 * dy; });");
  for (const std::size_t line : {0u, 1000u}) BOOST_TEST(!find_rule(a_rule, "twice.cpp", line).has_value());
  BOOST_TEST(!find_rule("int x;\n", "x.cpp", 1).has_value());
}

BOOST_AUTO_TEST_CASE(every_op_of_a_transformer_shows_its_rule) {
  ExplainedRun run;
  const Explanation what = explain(run.loss, run.options);
  BOOST_TEST(what.attention_views.size() == 3u);
  for (const RecordedValue& v : what.tape.values) {
    if (v.rule.empty()) continue;
    BOOST_REQUIRE_MESSAGE(what.rules.contains(v.rule), v.op << " " << v.rule);
    const std::string& text = what.rules.at(v.rule);
    BOOST_TEST((text.starts_with("void backward(") || text.starts_with("void backward_kernel(") ||
                text.starts_with("VarList pullback(") || text.starts_with("elementwise(") ||
                text.starts_with("fused_elementwise(")),
               v.op);
    BOOST_TEST(count(text, "{") == count(text, "}"));
  }
}

BOOST_AUTO_TEST_CASE(what_an_explanation_holds) {
  ExplainedRun run;
  const double loss = run.loss.item();
  const Explanation what = explain(run.loss, run.options);
  BOOST_REQUIRE(what.output.has_value());
  BOOST_TEST((what.output->targets == std::vector<Index>{5, 3, 4, 8, 2}));
  BOOST_TEST(what.output->count == 5);
  BOOST_TEST(what.tape[what.tape.loss].value[0] == loss);
  BOOST_TEST(what.what_ifs.size() == 3u * 2 + 6);
  for (const WhatIf& w : what.what_ifs) BOOST_TEST(std::abs(w.loss - loss - w.change) < 1e-12);
  BOOST_TEST(what.parameters.size() > 30u);
  for (const ParameterUpdate& p : what.parameters)
    BOOST_TEST(p.update.at(0) == -0.1 * what.tape[p.value].gradient.at(0));
  BOOST_TEST(what.optimizer == "gradient descent, learning rate 0.1");
  ExplainedRun fused(false, 0, false);
  BOOST_TEST(explain(fused.loss, fused.options).notices.back() ==
             "attention was recorded as one fused op: record with .show_parts = true to see inside");
}

BOOST_AUTO_TEST_CASE(a_recording_in_f32_is_explained_as_well) {
  ExplainedRun run(false, 0, true, DType::f32);
  const Explanation what = explain(run.loss, run.options);
  BOOST_TEST(what.attention_views.size() == 3u);
  BOOST_TEST(what.what_ifs.size() == 3u * 2 + 6);
  BOOST_TEST(what.notices.empty());
  BOOST_REQUIRE(what.output.has_value());
  BOOST_TEST((what.output->targets == std::vector<Index>{5, 3, 4, 8, 2} && what.output->count == 5));
  const std::string text = to_json(what);
  BOOST_TEST(count(text, R"("tolerance":0.001,"passed":true)") > 50u);
  BOOST_TEST(count(text, R"("passed":false)") == 0u);
}

BOOST_AUTO_TEST_CASE(label_smoothing_is_explained) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    ExplainedRun run(false, 0, true, dtype, 0.2);
    const Explanation what = explain(run.loss, {.numeric = Numeric::none, .what_ifs = false});
    BOOST_REQUIRE(what.output.has_value());
    BOOST_TEST((what.output->targets == std::vector<Index>{5, 3, 4, 8, 2} && what.output->count == 5));
  }
}

BOOST_AUTO_TEST_CASE(what_is_left_out_is_told) {
  const auto notices = [](const Var& loss) {
    return explain(loss, {.numeric = Numeric::none, .what_ifs = false}).notices;
  };
  ExplainedRun two(false, 0, true, DType::f64, 0, 2);
  const std::vector<std::string> found = notices(two.loss);
  BOOST_REQUIRE_EQUAL(found.size(), 3u);
  BOOST_TEST(
      found[0] ==
      "attention of transformer.encoder.layers.0.self_attn: a batch of 2; explain one example to see its "
      "lab");
  BOOST_TEST(
      notices(two.loss * 0.3) ==
          (std::vector<std::string>{
              found[0], found[1], found[2],
              "the step of the loss is left out: the gradient of the logits is not that of a sum or mean "
              "of cross-entropies"}),
      boost::test_tools::per_element());
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 0}, {0, 1}}), p = softmax(matmul(x, x, {.transpose_b = true}));
  BOOST_TEST(notices(sum(square(matmul(p, x)))) ==
                 std::vector<std::string>{"attention of the run: its projections were not found"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_page_is_one_file_and_reproducible) {
  ExplainedRun run, again;
  const std::string html = to_html(explain(run.loss, run.options));
  BOOST_TEST((html == to_html(explain(again.loss, again.options))));
  BOOST_TEST(html.size() < 1'200'000u);
  BOOST_TEST(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
  BOOST_TEST(
      html.find("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:") !=
      html.npos);
  BOOST_TEST(html.find("{{") == html.npos);
  for (const char* outside : {"http://", "https://", "src=\"", "url("}) {
    std::string script = html;
    for (std::size_t at; (at = script.find("http://www.w3.org/")) != script.npos;)
      script.erase(at, 18);  // names of MathML, SVG
    BOOST_TEST(script.find(outside) == script.npos, outside);
  }
  const std::string tables =
      html.substr(html.find("<noscript>"), html.find("</noscript>") - html.find("<noscript>"));
  BOOST_TEST(count(tables, "<caption>transformer.encoder.layers.0.self_attn: B5 dS") == 1u);
  BOOST_TEST(count(tables, "<table>") == count(tables, "</table>"));
  const double ds = explain(again.loss, again.options).tape[record(run.loss).loss].value[0];
  BOOST_TEST(ds == run.loss.item());
}

BOOST_AUTO_TEST_CASE(the_date_comes_from_outside) {
  ExplainedRun run;
  run.options.numeric = Numeric::none;
  const Explanation what = explain(run.loss, run.options);
  ::unsetenv("SOURCE_DATE_EPOCH");
  BOOST_TEST(to_html(what).find("\"date\":null") != std::string::npos);
  ::setenv("SOURCE_DATE_EPOCH", "86400", 1);
  BOOST_TEST(to_html(what).find("\"date\":\"1970-01-02\"") != std::string::npos);
  ::unsetenv("SOURCE_DATE_EPOCH");
  BOOST_TEST(to_html(what, {.date = "today"}).find("\"date\":\"today\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(hostile_tokens_stay_text) {
  ExplainedRun run;
  run.options.numeric = Numeric::none;
  run.options.source = {
      "</script><script>pwn()</script>", "<img src=x onerror=pwn()>", "&amp;", "\"'", "{{tape}}", "]]>"};
  run.options.title = "</title><script>pwn()</script>";
  const std::string html = to_html(explain(run.loss, run.options));
  BOOST_TEST(count(html, "<script>pwn") == 0u);
  BOOST_TEST(count(html, "<img") == 0u);
  BOOST_TEST(count(html, "</script>") == 2u);
  BOOST_TEST(html.find("&lt;img src=x onerror=pwn()&gt;") != html.npos);
  BOOST_TEST(html.find("\\u003cimg src=x onerror=pwn()>") != html.npos);
  BOOST_TEST(html.find("&amp;amp;") != html.npos);
}

BOOST_AUTO_TEST_CASE(a_title_shows_what_is_not_seen) {
  ExplainedRun run;
  run.options.numeric = Numeric::none;
  run.options.what_ifs = false;
  run.options.title = "a\x01\x7f\u0085\u202e<é中😀\xff";
  run.options.source[0] = "\xff";
  const std::string html = to_html(explain(run.loss, run.options)), bad = "\xef\xbf\xbd";
  BOOST_TEST(html.find("<title>Tape explorer: a\\u0001\\u007f\\u0085\\u202e&lt;é中😀" + bad + "</title>") !=
             html.npos);
  BOOST_TEST(html.find('\xff') == html.npos);
}

BOOST_AUTO_TEST_CASE(a_page_has_a_budget) {
  ExplainedRun run;
  const Explanation what = explain(run.loss, run.options);
  const std::size_t full = to_html(what).size(), less = to_html(what, {.max_bytes = full - 1}).size();
  BOOST_TEST(less < full);
  BOOST_TEST(
      to_html(what, {.max_bytes = 1}).find("numerical gradients left out: the page would be too large") !=
      std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_page_keeps_the_first_attention_layers_longest) {
  ExplainedRun run;
  const Explanation what = explain(run.loss, run.options);
  std::size_t views = 0;
  for (std::size_t bytes = 280'000; views < what.attention_views.size(); bytes += 20'000) {
    BOOST_REQUIRE(bytes < 700'000u);
    const std::string html = to_html(what, {.max_bytes = bytes});
    BOOST_TEST(html.size() <= bytes);
    views = count(html.substr(html.find("\"lessons\":")), "{\"title\":\"transformer.");
    const char* first = "{\"title\":\"transformer.encoder.layers.0.self_attn\",\"lab\":0}";
    BOOST_TEST(count(html, first) == (views > 0 ? 1u : 0u));
  }
  const std::string least = to_html(what, {.max_bytes = 1});
  BOOST_TEST(least.find("arrays left out, and 3 of 3 attention layers") != least.npos);
}

BOOST_AUTO_TEST_CASE(writing) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 2}, {3, 4}}), loss = sum(square(matmul(x, x)));
  const ScratchFolder folder;
  write_html(explain(loss, {.title = "two by two"}), folder / "page.html");
  BOOST_TEST(std::filesystem::file_size(folder / "page.html") > 50'000u);
  BOOST_CHECK_EXCEPTION(
      write_html(explain(loss), folder / "none/page.html"), SystemError, [&](const SystemError& error) {
        return folder.without(error.what()) == "none/page.html: cannot be created: No such file or directory";
      });
}

BOOST_AUTO_TEST_CASE(text_for_a_terminal) {
  ExplainedRun run;
  const Explanation what = explain(run.loss, run.options);
  const std::string text = to_text(what);
  BOOST_TEST(text.starts_with(fmt::format("a run\nloss {:.17g}\n\nStep 1 of ", run.loss.item())));
  BOOST_TEST(text.find("\x1b") == text.npos);
  BOOST_TEST(text.find("DISAGREES") == text.npos);
  BOOST_TEST(text.find("Attention transformer.decoder.layers.0.multihead_attn (cross), head 2") != text.npos);
  for (const char* step : {"F1  Q", "F2  S", "F4  P", "F5  O", "F6  Y", "B1  dO", "B2  dV", "B3  dP", "B4  D",
                           "B5  dS", "B6  dQ", "B7  dK", "B8  dX", "B9  dW_Q"})
    BOOST_TEST(count(text, fmt::format("\n{}", step)) >= 6u, step);
  BOOST_TEST(text.find("\nWhat if: ") != text.npos);
  std::size_t widest = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    widest = std::max(widest, text.find('\n', at) - at);
  BOOST_TEST(widest < 200u);
}

BOOST_AUTO_TEST_SUITE_END()
