#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention/masked_softmax.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/autograd/ops/softmax.h>
#include <tests/support/errors.h>

#include <cmath>
#include <limits>

using namespace tapegrad;
using test::error_of;

BOOST_AUTO_TEST_SUITE(masked_softmax_op)

BOOST_AUTO_TEST_CASE(by_hand) {
  const double ln3 = std::log(3.), nan = std::numeric_limits<double>::quiet_NaN();
  const Mask mask = Mask::keep(Tensor::of({{1, 0, 1}, {0, 0, 0}}, DType::boolean));
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable({{{{ln3, nan, 0}, {1, 2, 3}}}});
    const Var y = masked_softmax(x, mask);
    const std::vector<double> expected{0.75, 0, 0.25, 0, 0, 0}, found = y.value().to_vector();
    for (std::size_t i = 0; i < found.size(); ++i) BOOST_TEST(std::abs(found[i] - expected[i]) < 1e-15);
    const Gradients g = tape.backward(y, {.cotangent = Tensor::of({{{{1, 0, 0}, {5, 6, 7}}}}, DType::f64)});
    const std::vector<double> d{0.1875, 0, -0.1875, 0, 0, 0}, dx = g[x].to_vector();
    for (std::size_t i = 0; i < dx.size(); ++i) BOOST_TEST(std::abs(dx[i] - d[i]) < 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(what_stands_in_masked_cells_does_not_matter) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Tape tape;
  const Var x = tape.variable({{{{1, infinity, 2}}}});
  const Var y = masked_softmax(x, Mask::keep(Tensor::of({{1, 0, 1}}, DType::boolean)));
  const Tensor dx = tape.backward(y, {.cotangent = Tensor::of({{{{1, infinity, 0}}}})})[x];
  for (const double v : y.value().to_vector()) BOOST_TEST(std::isfinite(v));
  for (const double v : dx.to_vector()) BOOST_TEST(std::isfinite(v));
  BOOST_TEST(dx.at({0, 0, 0, 1}) == 0);
}

BOOST_AUTO_TEST_CASE(no_mask_is_softmax) {
  Tape tape;
  const Var x = tape.variable(sample_values({2, 2, 3, 5}).to(DType::f32));
  BOOST_TEST(identical(masked_softmax(x, Mask::none()).value(), softmax(x).value()));
}

BOOST_AUTO_TEST_CASE(its_attribute_is_the_mask) {
  Tape tape;
  const auto keep = [&](const Mask& mask) {
    const Var y = masked_softmax(tape.variable(Tensor({2, 2, 2, 2})), mask);
    Attributes list;
    tape.node(y.id().node).op->attributes(list);
    BOOST_TEST(list.at(0).first == "keep");
    return std::get<std::vector<std::uint8_t>>(list.at(0).second);
  };
  BOOST_TEST(keep(Mask::causal()) == (std::vector<std::uint8_t>{1, 0, 1, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(keep(Mask::from_lengths(Tensor::ids({2, 1}))) ==
                 (std::vector<std::uint8_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(errors_name_what_does_not_fit) {
  Tape tape;
  BOOST_TEST(error_of([&] {
               masked_softmax(tape.variable(Tensor({2, 3})), Mask::causal());
             }) == "masked_softmax: scores must be [batch, heads, query, key], got [2, 3]");
  BOOST_TEST(error_of([&] {
               masked_softmax(tape.variable(Tensor({1, 1, 2, 3})), Mask::from_lengths(Tensor::ids({4})));
             }) == "masked_softmax: mask length 4 of example 0 is larger than the number of keys, 3");
  BOOST_TEST(tape.size() == 2U);
}

// Composites as parts: the same values and gradients, and no composite is left.
BOOST_AUTO_TEST_CASE(tapes_that_show_parts_compute_the_same) {
  const auto run = [](const Sample& sample, bool parts, std::vector<std::string>* names) {
    Tape tape({.dtype = DType::f64, .training = sample.training, .show_parts = parts, .seed = 7});
    std::vector<Var> in;
    for (const Tensor& x : sample.inputs) in.push_back(tape.variable(x));
    const Var y = sample.call(in);
    std::vector<Tensor> results{y.value().clone()};
    const Gradients g = tape.backward(y, {.cotangent = sample_values(y.shape(), -1, 1, 11)});
    for (const Var& x : in) results.push_back(g.contains(x) ? g[x].clone() : Tensor(x.shape(), DType::f64));
    for (std::uint32_t i = 0; i < tape.size(); ++i)
      if (const Op* op = tape.node(i).op) names->push_back(op->name());
    return results;
  };
  int composites = 0;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next)
    for (const Sample& sample : op->make()) BOOST_TEST_CONTEXT(op->op << " (" << sample.label << ")") {
        std::vector<std::string> fused, parts;
        const std::vector<Tensor> a = run(sample, false, &fused), b = run(sample, true, &parts);
        if (fused == parts) continue;
        ++composites;
        for (const char* name : {"attention", "linear_activation", "add_layer_norm", "embedding_positions"})
          BOOST_TEST(std::count(parts.begin(), parts.end(), name) == 0, name);
        for (std::size_t i = 0; i < a.size(); ++i) {
          const std::vector<double> x = a[i].to_vector(), y = b[i].to_vector();
          double largest = 1e-3, difference = 0;
          for (std::size_t k = 0; k < x.size(); ++k) {
            largest = std::max({largest, std::abs(x[k]), std::abs(y[k])});
            difference = std::max(difference, std::abs(x[k] - y[k]));
          }
          BOOST_TEST(difference <= 1e-12 * largest, "result " << i);
        }
      }
  BOOST_TEST(composites > 100);
}

BOOST_AUTO_TEST_SUITE_END()
