#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/tape.h>

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(taps)

BOOST_AUTO_TEST_CASE(collects_what_matches_until_the_reset) {
  Tape tape;
  BOOST_TEST(!tape.observers().wants("decoder.layers.0.self_attn", "weights"));
  tape.observers().collect("decoder.*.weights");
  BOOST_TEST(tape.observers().wants("decoder.layers.0.self_attn", "weights"));
  BOOST_TEST(!tape.observers().wants("encoder.layers.0.self_attn", "weights"));
  tape.observers().add("decoder.layers.0.self_attn", "weights", tape.full({2}, 1));
  BOOST_TEST(tape.observers().collected().size() == 1U);
  BOOST_TEST(tape.observers().collected()[0].name == "decoder.layers.0.self_attn.weights");
  tape.reset();
  BOOST_TEST(tape.observers().collected().empty());
  BOOST_TEST(tape.observers().wants("decoder.layers.0.self_attn", "weights"));
  tape.observers().collect_nothing();
  BOOST_TEST(!tape.observers().wants("decoder.layers.0.self_attn", "weights"));
}

BOOST_AUTO_TEST_SUITE_END()
