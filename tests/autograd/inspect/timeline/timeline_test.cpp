#include <tapegrad/autograd/inspect/timeline/timeline.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {
namespace {

/// Two layers, one attention layer of two heads over three tokens.
Timeline example(int samples) {
  Timeline timeline;
  timeline.title = "</script><b>";
  timeline.facts = {{"seed", "1"}};
  timeline.layers = {"a", "b"};
  timeline.attention = {{"a.attn", 2, {"x", "</script>"}, {"p", "q", "\""}}};
  for (int i = 1; i <= samples; ++i)
    timeline.samples.push_back({.step = i,
                                .loss = 4.0 / i,
                                .learning_rate = 0.5,
                                .gradient_norm = 5,
                                .gradient = {3, 4},
                                .weight = {1, 0},
                                .update = {0.25, 0},
                                .entropy = {0.5, 0.995},
                                .focus = {0.25, 0.5},
                                .head_gradient = {1, 0.5}});
  timeline.snapshots = {{0, {{65535, 0, 0, 0, 65535, 0, 0, 0, 65535, 1, 2, 65532}}}};
  timeline.validation = {{2, 1.5}};
  return timeline;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++found;
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(timeline)

BOOST_AUTO_TEST_CASE(json_holds_every_number) {
  BOOST_TEST(
      to_json(example(1)) ==
      "{\"schema\":\"timeline/1\",\"title\":\"\\u003c/script>\\u003cb>\",\"facts\":[[\"seed\",\"1\"]],"
      "\"layers\":[\"a\",\"b\"],\"attention\":[{\"path\":\"a.attn\",\"heads\":2,"
      "\"rows\":[\"x\",\"\\u003c/script>\"],\"columns\":[\"p\",\"q\",\"\\\"\"]}],\"initial\":null,"
      "\"samples\":[{\"step\":1,\"loss\":4,\"learning_rate\":0.5,\"gradient_norm\":5,\"gradient\":[3,4],"
      "\"weight\":[1,0],\"update\":[0.25,0],\"entropy\":[0.5,0.995],\"focus\":[0.25,0.5],"
      "\"head_gradient\":[1,0.5]}],\"validation\":[{\"step\":2,\"loss\":1.5}],"
      "\"snapshots\":[{\"step\":0,\"maps\":[\"//8AAAAAAAD//wAAAAAAAP//AQACAPz/\"]}]}");
}

BOOST_AUTO_TEST_CASE(a_number_that_json_lacks_is_null) {
  TimelineSample sample;
  sample.gradient = {std::nan(""), INFINITY};
  BOOST_TEST(to_json(sample).find("\"gradient\":[null,null]") != std::string::npos, to_json(sample));
}

BOOST_AUTO_TEST_CASE(the_page_is_one_file_and_no_text_is_markup) {
  const std::string page = to_html(example(3));
  BOOST_TEST(page == to_html(example(3)));
  BOOST_TEST(page.starts_with("<!doctype html>"));
  BOOST_TEST(count(page, "default-src 'none'") == 1);
  BOOST_TEST(count(page, "<script") == 2);
  BOOST_TEST(count(page, "</script>") == 2);
  BOOST_TEST(count(page, "{{") == 0);
  BOOST_TEST(page.find("<title>Training timeline: &lt;/script&gt;&lt;b&gt;</title>") != std::string::npos);
  for (const char* outside : {"src=", "@import", "url(", "fetch(", "XMLHttp", "eval("})
    BOOST_TEST(page.find(outside) == std::string::npos, outside);
  BOOST_TEST(page.find(to_json(example(3))) != std::string::npos);
  BOOST_TEST(to_html(Timeline{}).find("\"samples\":[]") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_page_that_cannot_be_written_says_so) {
  BOOST_TEST(test::error_of([] { write_html(example(1), "/nowhere/page.html"); }) ==
             "/nowhere/page.html: cannot be created: No such file or directory");
}

BOOST_AUTO_TEST_CASE(kept_steps_follow_from_the_last_one) {
  BOOST_TEST(kept_interval(1, 5, 200) == 5);
  BOOST_TEST(kept_interval(1004, 5, 200) == 5);
  BOOST_TEST(kept_interval(1005, 5, 200) == 10);
  BOOST_TEST(kept_interval(1'000'000, 5, 200) == 5120);
  // A sample that is due later in training is never one that an earlier interval would have omitted.
  for (std::int64_t step = 1; step < 5000; ++step)
    BOOST_REQUIRE(kept_interval(step + 1, 5, 22) % kept_interval(step, 5, 22) == 0);
}

BOOST_AUTO_TEST_CASE(dead_heads) {
  TimelineSample s = example(1).samples[0];
  BOOST_CHECK(head_state(s, 0) == HeadState::alive);
  BOOST_CHECK(head_state(s, 1) == HeadState::uniform);
  s.entropy[1] = 0.9899;
  BOOST_CHECK(head_state(s, 1) == HeadState::alive);
  s.focus[1] = 0.95;
  BOOST_CHECK(head_state(s, 1) == HeadState::one_key);
  s.focus[1] = 0.9499;
  s.head_gradient[1] = 0.000999;
  BOOST_CHECK(head_state(s, 1) == HeadState::no_gradient);
  s.head_gradient = {0, 0};  // of attention whose projections are not known
  BOOST_CHECK(head_state(s, 1) == HeadState::alive);
}

BOOST_AUTO_TEST_CASE(sparklines_fit_and_mark_what_is_not_finite) {
  BOOST_TEST(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 80, true) == "▁▂▃▄▅▆▇█");
  BOOST_TEST(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 80, false) == "_.-~=+*#");
  BOOST_TEST(sparkline({1, 3, 9, 11}, 2, false) == "_#");
  BOOST_TEST(sparkline({2, 2}, 9, false) == "__");
  BOOST_TEST(sparkline({1, std::nan(""), 2, INFINITY}, 9, false) == "_!#!");
  BOOST_TEST(sparkline({}, 9, false) == "");
  BOOST_TEST(sparklines(example(4), 80, false) ==
             "loss                    #-__  4 -> 1\n"
             "gradient norm           ____  5 -> 5\n"
             "update / weight         ____  0.25 -> 0.25\n"
             "attention entropy       ____  0.7475 -> 0.7475\n"
             "dead heads              1 of 2 at step 4\n");
  BOOST_TEST(sparklines(Timeline{}, 80, false) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
