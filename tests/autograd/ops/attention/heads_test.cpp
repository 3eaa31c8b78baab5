// The in-projection in one product or several, and heads that are split and merged.
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention/heads.h>
#include <tapegrad/autograd/ops/reduce.h>

#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

struct Projection {
  Tape tape;
  Var x, memory, w, b;
  explicit Projection(bool show_parts = false) : tape({.show_parts = show_parts}) {
    const auto make = [&](const Shape& shape, std::uint64_t label) {
      return tape.variable(sample_values(shape, -1, 1, label).to(DType::f32));
    };
    x = make({2, 3, 4}, 1), memory = make({2, 5, 4}, 2), w = make({12, 4}, 3), b = make({12}, 4);
  }
  /// Projects, and says how many products that took.
  std::size_t products(const QueryKeyValue<Var>& in, Projections& out, bool together = true) {
    const std::size_t before = tape.size();
    out = in_projection(in, {rows(w, 0, 4), rows(w, 4, 4), rows(w, 8, 4)},
                        {rows(b, 0, 4), rows(b, 4, 4), rows(b, 8, 4)}, together);
    return tape.size() - before;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_heads)

BOOST_AUTO_TEST_CASE(one_product_makes_what_comes_from_one_value) {
  Projection p, parts(true);
  Projections out;
  BOOST_TEST(p.products({p.x, p.x, p.x}, out) == 1U);
  BOOST_TEST(p.products({p.x, p.memory, p.memory}, out) == 2U);
  BOOST_TEST(p.products({p.memory, p.memory, p.x}, out) == 3U);
  BOOST_TEST(p.products({p.x, p.x, p.x}, out, false) == 3U);
  BOOST_TEST(parts.products({parts.x, parts.x, parts.x}, out) == 3U);
}

BOOST_AUTO_TEST_CASE(the_numbers_do_not_depend_on_the_products) {
  for (const bool self : {true, false}) {
    Projection p;
    const Var& memory = self ? p.x : p.memory;
    Projections together, apart;
    p.products({p.x, memory, memory}, together);
    p.products({p.x, memory, memory}, apart, false);
    BOOST_TEST(identical(together.query.value().value(), apart.query.value().value()));
    BOOST_TEST(identical(together.key.value().value(), apart.key.value().value()));
    BOOST_TEST(identical(together.value.value().value(), apart.value.value().value()));
  }
}

BOOST_AUTO_TEST_CASE(heads_are_merged_as_they_were_split) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(sample_values({2, 3, 6}, -1, 1, 1)),
            flat = tape.variable(sample_values({3, 6}));
  BOOST_TEST((split_heads(x, 2).shape() == Shape{2, 2, 3, 3}));
  BOOST_TEST(identical(merge_heads(split_heads(x, 3), 3).value(), x.value()));
  BOOST_TEST(identical(merge_heads(split_heads(flat, 3), 2).value(), flat.value()));
  BOOST_CHECK_THROW(split_heads(x, 4), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
