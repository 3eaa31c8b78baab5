// The one-page programs run, exit with 0 and print the documented output.
#include <tests/support/program.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <string>

using tapegrad::test::run_program;

namespace {

/// The number that follows `label` in `text`; NaN when the label is missing.
double number_after(const std::string& text, const std::string& label) {
  const std::size_t at = text.find(label);
  return at == std::string::npos ? std::nan("") : std::strtod(text.c_str() + at + label.size(), nullptr);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(programs)

BOOST_AUTO_TEST_CASE(tape_walks_back) {
  const auto r = run_program("tape", {});
  BOOST_TEST(r.code == 0);
  for (const char* name : {"dw", "db"}) {
    const double of_tape = number_after(r.out, std::string("dloss/") + name + " = ");
    const std::string line = r.out.substr(r.out.find(std::string("dloss/") + name + " = "));
    BOOST_TEST(of_tape == number_after(line, "by hand "));
    BOOST_TEST(of_tape != 0);
  }
  const double from_product = number_after(r.out, "d(w sin w)/dw: ");
  const double whole = number_after(r.out, "from the product, ");
  BOOST_TEST(std::abs(from_product - std::sin(0.5)) < 1e-4);
  BOOST_TEST(whole > from_product);
  BOOST_TEST(whole == number_after(r.out, "the sine's part, by hand "));
  BOOST_TEST(number_after(r.out, "gradient descent: ") < number_after(r.out, "(y - 1)² = "));
}

BOOST_AUTO_TEST_CASE(two_runs_differ_where_digits_cancel) {
  const auto r = run_program("two_runs", {});
  BOOST_TEST(r.code == 0);
  BOOST_TEST(has(r.out, "f32 against f64, to 6 digits: value 5, sub []: element [] is 0 and 0.01556"));
  BOOST_TEST(has(r.out, "f32 against f64, to 6 digits: no difference"));
}

BOOST_AUTO_TEST_CASE(xor_is_learnt) {
  const auto r = run_program("xor", {});
  BOOST_TEST(r.code == 0);
  BOOST_TEST(number_after(r.out, "0 xor 0 = ") < 0.05);
  BOOST_TEST(number_after(r.out, "0 xor 1 = ") > 0.95);
  BOOST_TEST(number_after(r.out, "1 xor 0 = ") > 0.95);
  BOOST_TEST(number_after(r.out, "1 xor 1 = ") < 0.05);
  BOOST_TEST(number_after(r.out, "step 400   loss ") < number_after(r.out, "step   0   loss ") / 100);
}

BOOST_AUTO_TEST_CASE(attention_by_hand_agrees_with_the_tape) {
  const auto r = run_program("attention_by_hand", {});
  BOOST_TEST(r.code == 0);
  for (const char* name : {"Q", "K", "V", "S", "P", "O", "dO", "dV", "dP", "dS", "dQ", "dK", "dW_Q", "dX"}) {
    const std::string line = "\n" + std::string(name) + std::string(5 - std::string(name).size(), ' ') + "= ";
    BOOST_TEST(has(r.out, line), name << " is missing");
  }
  BOOST_TEST(number_after(r.out, "largest difference over 16 matrices: ") < 1e-12);
  BOOST_TEST(number_after(r.out, "one fused op: O differs by ") < 1e-12);
  BOOST_TEST(has(r.out, "   0.1712   0.4144   0.4144    |   0.1712   0.4144   0.4144\n"));
}

BOOST_AUTO_TEST_CASE(custom_layer_multiplies) {
  const auto r = run_program("custom_layer", {});
  BOOST_TEST(r.code == 0);
  BOOST_TEST(has(r.out, "gradients: 48 of 48 derivatives agree"));
  BOOST_TEST(has(r.out, "  multiply.gate.weight [16, 2]\n"));
  BOOST_TEST(number_after(r.out, "root mean squared error on 1000 new pairs: ") < 0.05);
  BOOST_TEST(has(r.out,
                 "  multiply.up: linear: x [3] and weight [16, 2] do not fit: weight is [out, in], so x's "
                 "last axis must be 2\n"));
}

BOOST_AUTO_TEST_CASE(article_shows_every_pitfall) {
  const auto r = run_program("article", {});
  BOOST_TEST(r.code == 0);
  for (int exhibit = 1; exhibit <= 10; ++exhibit)
    BOOST_TEST(has(r.out, "\n" + std::to_string(exhibit) + ". "), exhibit << " is missing");
  BOOST_TEST(has(r.out, "wrong: e^100 overflows                               nan\n"));
  BOOST_TEST(has(r.out, "Transformer(8, 3, 16, 2) maps [5, 8] to [5, 3]\n"));
}

BOOST_AUTO_TEST_CASE(copy_refuses_wrong_use_before_it_trains) {
  const auto message = [](const std::vector<std::string>& arguments) {
    const auto r = run_program("copy", arguments);
    BOOST_TEST(r.code == 2);
    BOOST_TEST(r.out == "");
    return r.err;
  };
  BOOST_TEST(message({"--stepz", "5"}) == "copy: unknown option \"--stepz\", did you mean \"--steps\"?\n");
  BOOST_TEST(message({"--unheard-of=1"}) == "copy: unknown option \"--unheard-of\"; --help lists all\n");
  BOOST_TEST(message({"more"}) == "copy: unexpected argument \"more\"\n");
  BOOST_TEST(message({"--picture", "/no/such/folder/a.svg"}) ==
             "copy: --picture: no folder /no/such/folder\n");
}

BOOST_AUTO_TEST_SUITE_END()
