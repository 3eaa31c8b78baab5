#include <tapegrad/autograd/tensor/shape.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {

using test::error_of;

BOOST_AUTO_TEST_SUITE(shape)

BOOST_AUTO_TEST_CASE(extents_are_read_from_both_ends) {
  const Shape s{2, 3, 4};
  BOOST_TEST(s.rank() == 3);
  BOOST_TEST(s.size() == 24);
  BOOST_TEST(s[0] == 2);
  BOOST_TEST(s[-1] == 4);
  BOOST_TEST(s.rows() == 6);
  BOOST_TEST(s.cols() == 4);
  BOOST_TEST(Shape{}.size() == 1);
  BOOST_TEST(Shape{}.rows() == 1);
  BOOST_TEST(Shape{}.cols() == 1);
  BOOST_TEST((Shape{5}).rows() == 1);
  BOOST_TEST((Shape{2, 0}).size() == 0);
  BOOST_TEST(fmt::format("{} {} {}", s, Shape{}, Shape{0}) == "[2, 3, 4] [] [0]");
}

BOOST_AUTO_TEST_CASE(axes_are_dropped_inserted_and_replaced) {
  const Shape s{2, 3, 4};
  BOOST_TEST((s.without(1) == Shape{2, 4}));
  BOOST_TEST((s.without(-1) == Shape{2, 3}));
  BOOST_TEST((s.inserted(0, 7) == Shape{7, 2, 3, 4}));
  BOOST_TEST((s.inserted(-1, 7) == Shape{2, 3, 4, 7}));
  BOOST_TEST((s.inserted(1, 7) == Shape{2, 7, 3, 4}));
  BOOST_TEST((s.with_tail(1, {5, 6}) == Shape{2, 3, 5, 6}));
  BOOST_TEST(s.normalized(-3) == 0);
  BOOST_TEST(s.normalized(3) == -1);
  BOOST_TEST(s.normalized(-4) == -1);
}

BOOST_AUTO_TEST_CASE(broadcasting_is_numpys) {
  Shape result;
  BOOST_TEST(broadcast({3, 1}, {2, 1, 4}, result));
  BOOST_TEST((result == Shape{2, 3, 4}));
  BOOST_TEST(broadcast({}, {2, 0}, result));
  BOOST_TEST((result == Shape{2, 0}));
  BOOST_TEST(broadcast({1}, {0}, result));
  BOOST_TEST((result == Shape{0}));
  BOOST_TEST(!broadcast({2}, {0}, result));
  BOOST_TEST(!broadcast({2, 3}, {2}, result));
  const auto strides = broadcast_strides({3, 1}, {2, 3, 4});
  BOOST_TEST(strides[0] == 0);
  BOOST_TEST(strides[1] == 1);
  BOOST_TEST(strides[2] == 0);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_TEST(error_of([] { Shape{2, -1}; }) == "shape: extent -1 of axis 1 is negative");
  BOOST_TEST(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }) == "shape: 9 axes, at most 8 are possible");
  BOOST_TEST(error_of([] {
               Shape({1, 1, 1, 1, 1, 1, 1, 1}).inserted(0, 1);
             }) == "shape: [1, 1, 1, 1, 1, 1, 1, 1] has 8 axes already, at most 8 are possible");
  BOOST_TEST(error_of([] {
               checked_axis("sum", 2, {2, 3});
             }) == "sum: axis 2 is out of range for shape [2, 3], which has 2 axes");
  BOOST_TEST(error_of([] {
               (Shape{Index{1} << 40, Index{1} << 40}).size();
             }) == "shape: [1099511627776, 1099511627776] has more elements than any memory can hold");
  BOOST_TEST(error_of([] {
               (Shape{Index{1} << 40, Index{1} << 40, 0}).size();
             }) ==  // its rows would overflow
             "shape: [1099511627776, 1099511627776, 0] has more elements than any memory can hold");
  BOOST_TEST((Shape{Index{1} << 40, 0}).size() == 0);
}

BOOST_AUTO_TEST_CASE(an_axis_out_of_range_throws) {
  Shape s{2, 4};
  BOOST_TEST(s[-2] == 2);
  BOOST_TEST(error_of([&] { s[3] = 1; }) == "shape: axis 3 is out of range for [2, 4]");
  BOOST_TEST(error_of([&] { s[-3] = 1; }) == "shape: axis -3 is out of range for [2, 4]");
  BOOST_TEST(error_of([&] { (void)static_cast<const Shape&>(s)[2]; }) ==
             "shape: axis 2 is out of range for [2, 4]");
  BOOST_TEST(error_of([&] { s.without(2); }) == "shape: axis 2 is out of range for [2, 4]");
  BOOST_TEST(error_of([] { Shape{}.without(0); }) == "shape: axis 0 is out of range for []");
  BOOST_TEST(error_of([&] { s.inserted(3, 1); }) == "shape: axis 3 is out of range for [2, 4]");
  BOOST_TEST(error_of([&] { s.inserted(-4, 1); }) == "shape: axis -4 is out of range for [2, 4]");
  BOOST_TEST(error_of([&] { s.with_tail(3, {}); }) == "shape: 3 axes cannot be dropped from [2, 4]");
  BOOST_TEST((s.without(-1) == Shape{2} && s.without(0) == Shape{4} && s.inserted(-1, 7) == Shape{2, 4, 7}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
