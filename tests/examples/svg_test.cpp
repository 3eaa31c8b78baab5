#include "examples/support/svg.h"

#include <tapegrad/autograd/base/error.h>

#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "examples/support/svg_parts.h"

using namespace tapegrad;

namespace {

/// The number of occurrences of `part` in `text`.
int count(const std::string& text, std::string_view part) {
  int found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// The picture as a tree; throws when it is not well-formed XML.
boost::property_tree::ptree parsed(const std::string& svg) {
  BOOST_TEST(svg.find("nan") == std::string::npos);
  BOOST_TEST(svg.find("inf") == std::string::npos);
  std::istringstream in(svg);
  boost::property_tree::ptree tree;
  boost::property_tree::read_xml(in, tree);
  return tree;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(svg_pictures)

BOOST_AUTO_TEST_CASE(text_is_escaped) {
  BOOST_TEST(svg::xml("<a href=\"x\">&'") == "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  BOOST_TEST(svg::xml("a\x01z\xFFő\uFFFE") == "a\uFFFDz\uFFFDő\uFFFD");
  BOOST_TEST(svg::text_width("e\u0301") == svg::text_width("e"));
  BOOST_TEST(svg::text_width("漢") > svg::text_width("e"));
}

BOOST_AUTO_TEST_CASE(loss_curves) {
  LossCurve curve{
      .title = "a < b", .train = {{0, 2.0}, {50, 1.0}, {100, 0.5}}, .valid = {{50, 1.1}, {100, 0.9}}};
  const std::string svg = loss_svg(curve);
  parsed(svg);
  BOOST_TEST(svg.find(">a &lt; b<") != std::string::npos);
  BOOST_TEST(svg.find(">best 0.9 at step 100<") != std::string::npos);
  BOOST_TEST(count(svg, "<path class=\"line train\"") == 1);
  BOOST_TEST(count(svg, "<path class=\"line valid\"") == 1);
  BOOST_TEST(svg.find("log scale") == std::string::npos);
  BOOST_TEST(svg.find("prefers-color-scheme: dark") != std::string::npos);
  // The first point stands at the left edge and above the second.
  BOOST_TEST(svg.find("d=\"M66.0 ") != std::string::npos);
  curve.train[2].loss = 0.001;
  BOOST_TEST(loss_svg(curve).find("loss (log scale)") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(odd_losses) {
  parsed(loss_svg({}));
  BOOST_TEST(loss_svg({}).find("no losses yet") != std::string::npos);
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string holes =
      loss_svg({.train = {{1, nan}, {2, 3.0}, {3, inf}, {4, 2.0}, {5, 1e300}}, .valid = {}});
  parsed(holes);
  BOOST_TEST(count(holes, "<circle class=\"train-fill\"") == 2);
  for (const double loss : {0.0, 1e-300, 1e29, -5.0}) {
    parsed(loss_svg({.train = {{1, loss}}, .valid = {}}));
    parsed(loss_svg({.train = {{1, loss}, {2, 1.0}}, .valid = {}}));
    parsed(loss_svg(
        {.train = {{1, loss}, {2, loss}, {std::numeric_limits<std::int64_t>::max(), loss}}, .valid = {}}));
  }
}

BOOST_AUTO_TEST_CASE(long_runs_stay_small) {
  LossCurve curve;
  for (int step = 0; step < 100'000; ++step) curve.train.push_back({step, 2.0 + std::sin(step)});
  const std::string svg = loss_svg(curve);
  parsed(svg);
  BOOST_TEST(svg.size() < 30'000U);
  BOOST_TEST(svg.find("class=\"train-fill\" opacity") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(attention_maps) {
  AttentionPicture picture{
      .title = "haz", .query_name = "output", .key_name = "source", .columns = 2, .maps = {}};
  for (int head = 1; head <= 4; ++head) {
    picture.maps.push_back({"layer 1, head " + std::to_string(head),
                            {"h", "<eos>"},
                            {"a", " ", "</script>"},
                            {1, 0, 0.001F, 0.25F, 0.5F, 0.25F}});
  }
  const std::string svg = attention_svg(picture);
  const auto tree = parsed(svg);
  BOOST_TEST(count(svg, "<rect class=\"weight\"") ==
             4 * 4 + 10);  // weights that are not next to nothing, and the scale
  BOOST_TEST(count(svg, "fill-opacity=\"0.25\"") == 4 * 2 + 1);
  BOOST_TEST(count(svg, "layer 1, head 3") == 1);
  BOOST_TEST(count(svg, "<title>h → a: 1.000</title>") == 4);
  BOOST_TEST(count(svg, "&lt;/script&gt;") == 4 * 2);
  BOOST_TEST(count(svg, ">␣<") == 4);
  BOOST_TEST(svg.find("rows: output, columns: source") != std::string::npos);
  const auto width = tree.get<double>("svg.<xmlattr>.width"),
             height = tree.get<double>("svg.<xmlattr>.height");
  BOOST_TEST((width > 200 && width < 600 && height > 200 && height < 600));
}

BOOST_AUTO_TEST_CASE(odd_attention) {
  parsed(attention_svg({}));
  parsed(attention_svg({.maps = {{"none", {}, {}, {}}}}));
  const std::string bad =
      attention_svg({.maps = {{"h", {"q"}, {"k"}, {std::numeric_limits<float>::infinity()}}}});
  BOOST_TEST(count(bad, "<rect class=\"bad\"") == 1);
  AttentionMap large{"h", std::vector<std::string>(200, "x"), std::vector<std::string>(200, "y"),
                     std::vector<float>(40'000, 0.005F)};
  const std::string svg = attention_svg({.maps = {large}});
  parsed(svg);
  BOOST_TEST(count(svg, ">x<") == 0);  // cells too small for labels
  const std::string told =
      attention_svg({.maps = {{"h", {"\u202E\x01\xFF"}, {std::string(10'000, 'k')}, {0.5F}}}});
  parsed(told);
  BOOST_TEST(told.size() < 10'000U);
  BOOST_CHECK_EXCEPTION(
      attention_svg({.maps = {{"layer 1", {"q"}, {"k", "l"}, {1}}}}), Error, [](const Error& error) {
        return std::string_view(error.what()) ==
               "attention picture: map \"layer 1\" has 1 weights, expected 1 queries * 2 keys = 2";
      });
}

BOOST_AUTO_TEST_SUITE_END()
