#include <tapegrad/autograd/ops/attention/mask.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace tapegrad;
using Values = std::vector<double>;

namespace {

Tensor boolean(const Nested& values) { return Tensor::of(values, DType::boolean); }

auto says(std::string_view expected) {
  return [expected](const Error& error) {
    BOOST_TEST(error.what() == expected);
    return true;
  };
}

// A bare boolean tensor is no mask: its meaning must be said.
static_assert(!std::is_convertible_v<Tensor, Mask> && !std::is_constructible_v<Mask, Tensor>);
static_assert(std::is_trivially_destructible_v<MaskView>);

}  // namespace

BOOST_AUTO_TEST_SUITE(mask)

BOOST_AUTO_TEST_CASE(each_kind_by_hand) {
  BOOST_TEST(Mask::none().to_tensor(1, 1, 1, 2).to_vector() == (Values{1, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::causal().to_tensor(1, 1, 2, 3).to_vector() == (Values{1, 0, 0, 1, 1, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::causal(1).to_tensor(1, 1, 2, 3).to_vector() == (Values{1, 1, 0, 1, 1, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::causal(-1).to_tensor(1, 1, 2, 2).to_vector() == (Values{0, 0, 1, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::causal(INT64_MIN).to_tensor(1, 1, 1, 2).to_vector() == (Values{0, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::causal(INT64_MAX).to_tensor(1, 1, 1, 2).to_vector() == (Values{1, 1}),
             boost::test_tools::per_element());
  const Tensor rows = boolean({{1, 0}, {0, 1}});
  BOOST_TEST(Mask::keep(rows).to_tensor(1, 2, 2, 2).to_vector() == (Values{1, 0, 0, 1, 1, 0, 0, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::block(rows).to_tensor(1, 1, 2, 2).to_vector() == (Values{0, 1, 1, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(Mask::keys(rows).to_tensor(2, 1, 2, 2).to_vector() == (Values{1, 0, 1, 0, 0, 1, 0, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(
      Mask::from_lengths(Tensor::ids({1, 0})).to_tensor(2, 1, 1, 2).to_vector() == (Values{1, 0, 0, 0}),
      boost::test_tools::per_element());
  const std::vector<Index> lengths = {2};
  BOOST_TEST(Mask::from_lengths(lengths).to_tensor(1, 2, 1, 3).to_vector() == (Values{1, 1, 0, 1, 1, 0}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(and_means_both) {
  const Mask causal = Mask::causal(), lengths = Mask::from_lengths(Tensor::ids({1, 3}));
  const Mask rows = Mask::keep(boolean({{0, 1, 1}, {1, 1, 0}, {1, 0, 1}})),
             keys = Mask::keys(boolean({{1, 1, 0}, {0, 1, 1}}));
  const std::vector<Mask> masks = {Mask::none(),
                                   causal,
                                   Mask::causal(1),
                                   lengths,
                                   Mask::from_lengths(Tensor::ids({2, 2})),
                                   rows,
                                   keys,
                                   Mask::block(boolean({{{{1, 0, 1}}}, {{{0, 0, 1}}}}))};
  for (const Mask& a : masks)
    for (const Mask& b : masks) {
      const Values x = a.to_tensor(2, 2, 3, 3).to_vector(), y = b.to_tensor(2, 2, 3, 3).to_vector();
      Values expected;
      for (std::size_t i = 0; i < x.size(); ++i) expected.push_back(x[i] * y[i]);
      BOOST_TEST((a & b).to_tensor(2, 2, 3, 3).to_vector() == expected, boost::test_tools::per_element());
      BOOST_TEST((causal & a & b & lengths).to_tensor(2, 2, 3, 3).to_vector() ==
                     (lengths & (b & a) & causal).to_tensor(2, 2, 3, 3).to_vector(),
                 boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(describes_its_parts) {
  BOOST_TEST(Mask().describe() == "none");
  BOOST_TEST(Mask().empty());
  const Mask mask = Mask::causal() & Mask::from_lengths(Tensor::ids({1, 2})) &
                    Mask::keys(boolean({{1, 0, 1, 1}, {1, 1, 1, 1}}));
  BOOST_TEST(mask.describe() == "causal & lengths [2] & keep [2, 1, 1, 4]");
  BOOST_TEST(!mask.empty());
  BOOST_TEST(Mask::causal(3).describe() == "causal(3)");
}

BOOST_AUTO_TEST_CASE(copied_to_a_tape_it_stays_the_same) {
  Tensor keep = boolean({{1, 0}, {0, 1}});
  const Mask mask = Mask::causal() & Mask::keep(keep) & Mask::from_lengths(Tensor::ids({2}));
  Tape tape;
  const MaskView view = mask.copy_to_arena(tape);
  keep.fill(0);
  BOOST_TEST(view.to_tensor({1, 1, 2, 2}).to_vector() == (Values{1, 0, 0, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(mask.to_tensor(1, 1, 2, 2).to_vector() == (Values{0, 0, 0, 0}),
             boost::test_tools::per_element());  // shares
}

BOOST_AUTO_TEST_CASE(bytes_are_truth_values) {
  const auto bytes = [](const Nested& values) { return Tensor::of(values, DType::u8); };
  const auto whole = [](const Mask& mask) { return mask.to_tensor(1, 1, 2, 2); };
  BOOST_TEST(
      identical(whole(Mask::keep(bytes({{1, 0}, {0, 255}}))), whole(Mask::keep(boolean({{1, 0}, {0, 1}})))));
  BOOST_TEST(
      identical(whole(Mask::block(bytes({{2, 0}, {0, 1}}))), whole(Mask::keep(boolean({{0, 1}, {1, 0}})))));
  BOOST_TEST(identical(whole(Mask::keys(bytes({{0, 7}}))), whole(Mask::keys(boolean({{0, 1}})))));
}

BOOST_AUTO_TEST_CASE(errors_name_what_does_not_fit) {
  BOOST_CHECK_EXCEPTION(Mask::keep(Tensor::of({{1, 0}})), Error,
                        says("Mask::keep: the tensor must be boolean, got f32 [1, 2]"));
  BOOST_CHECK_EXCEPTION(Mask::block(Tensor()), Error, says("Mask::block: an empty tensor"));
  BOOST_CHECK_EXCEPTION(Mask::keys(boolean({1, 0})), Error,
                        says("Mask::keys: the tensor must be [batch, key], got [2]"));
  BOOST_CHECK_EXCEPTION(Mask::from_lengths(Tensor::ids({3, -1})), Error,
                        says("Mask::from_lengths: length -1 of example 1 is negative"));
  BOOST_CHECK_EXCEPTION(Mask::from_lengths(Tensor::of({3})), Error,
                        says("Mask::from_lengths: lengths must be i64 [batch], got f32 [1]"));
  BOOST_CHECK_EXCEPTION(Mask::keep(boolean({{1, 0}})) & Mask::keep(boolean({{1, 0, 1}})), Error,
                        says("mask: keep tensors of shapes [1, 2] and [1, 3] do not broadcast together; "
                             "aligned at the last axis, "
                             "extents must be equal or 1"));
  BOOST_CHECK_EXCEPTION(Mask::from_lengths(Tensor::ids({1})) & Mask::from_lengths(Tensor::ids({1, 2})), Error,
                        says("mask: lengths of 1 and of 2 examples do not combine"));
  BOOST_CHECK_EXCEPTION(Mask::from_lengths(Tensor::ids({1})).to_tensor(2, 1, 1, 3), Error,
                        says("Mask::to_tensor: mask with lengths of 1 examples does not fit [batch, heads, "
                             "query, key] = [2, 1, 1, 3]"));
  BOOST_CHECK_EXCEPTION(
      Mask::from_lengths(Tensor::ids({1, 4})).to_tensor(2, 1, 1, 3), Error,
      says("Mask::to_tensor: mask length 4 of example 1 is larger than the number of keys, 3"));
  const std::string hint = "; a mask is [query, key] or of rank 4, with extents of 1 where it repeats";
  BOOST_CHECK_EXCEPTION(Mask::keep(boolean({{1, 0}, {1, 1}})).to_tensor(1, 1, 2, 3), Error,
                        says("Mask::to_tensor: mask of shape [2, 2] does not broadcast to [batch, heads, "
                             "query, key] = [1, 1, 2, 3]" +
                             hint));
  // Rank 3 could mean two things, so it never fits; nor does a mask with more rows than there are queries.
  BOOST_CHECK_THROW(Mask::keep(Tensor({2, 3, 3}, DType::boolean)).to_tensor(2, 2, 3, 3), Error);
  BOOST_CHECK_THROW(Mask::keep(Tensor({3, 3}, DType::boolean)).to_tensor(1, 1, 1, 3), Error);
}

BOOST_AUTO_TEST_SUITE_END()
