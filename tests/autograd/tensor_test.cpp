#include <tapegrad/autograd/tensor.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tapegrad {

using test::error_of;

BOOST_AUTO_TEST_SUITE(tensor)

BOOST_AUTO_TEST_CASE(braces_of_any_rank_make_tensors) {
  BOOST_TEST(Tensor::of(3).rank() == 0);
  BOOST_TEST(Tensor::of(3).item() == 3);
  BOOST_TEST((Tensor::of({1, 2.5}).shape() == Shape{2}));
  BOOST_TEST((Tensor::of({5}).shape() == Shape{1}));
  BOOST_TEST((Tensor::of({{1, 2}}).shape() == Shape{1, 2}));
  BOOST_TEST((Tensor::of({{1}, {2}, {3}}).shape() == Shape{3, 1}));
  const Tensor x = Tensor::of({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}, DType::f64);
  BOOST_TEST((x.shape() == Shape{2, 2, 2}));
  BOOST_TEST(x.at({1, 0, 1}) == 6);
  BOOST_TEST(Tensor::ids({{4, 7}}).data<Index>()[1] == 7);
  BOOST_TEST(Tensor::of({2, 0, -1}, DType::boolean).to_vector() == std::vector<double>({1, 0, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(error_of([] {
               Tensor::of({{1, 2}, {3}});
             }) == "tensor: nested braces of unequal shapes [2] and [1]");
  BOOST_TEST(error_of([] {
               Tensor::from({1, 2, 3}, {2, 2});
             }) == "tensor: 3 values do not fill shape [2, 2]");
}

BOOST_AUTO_TEST_CASE(eigen_goes_in_and_out) {
  Eigen::MatrixXf m(2, 3);
  m << 1, 2, 3, 4, 5, 6;
  const Tensor a = Tensor::from(m);
  BOOST_TEST((a.shape() == Shape{2, 3}));
  BOOST_TEST((a.dtype() == DType::f32));
  BOOST_TEST(a.at({0, 2}) == 3);
  BOOST_TEST(Tensor::from(m.transpose() * 2).at({2, 0}) == 6);
  BOOST_TEST((Tensor::from(Eigen::VectorXd::Ones(4)).shape() == Shape{4}));
  BOOST_TEST((Tensor::from(Eigen::VectorXd::Ones(4)).dtype() == DType::f64));
  Tensor b({2, 3});
  b.matrix<float>() = m * 10;
  b.array<float>() += 1;
  BOOST_TEST(b.at({1, 1}) == 51);
  BOOST_TEST((Tensor({2, 3, 4}).matrix<float>().rows()) == 6);
}

BOOST_AUTO_TEST_CASE(copies_share_and_clones_own) {
  Tensor a = Tensor::of({1, 2});
  Tensor shared = a, own = a.clone();
  a.data<float>()[0] = 9;
  BOOST_TEST(shared.at({0}) == 9);
  BOOST_TEST(own.at({0}) == 1);
  BOOST_TEST(a.reshaped({2, 1}).at({0, 0}) == 9);
  BOOST_TEST(!identical(a, own));
  own.copy_from(a);
  BOOST_TEST(identical(a, own));
  BOOST_TEST((a.to(DType::f64).dtype() == DType::f64));
  BOOST_TEST(!identical(a, a.to(DType::f64)));
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(a.data<float>()) % 64 == 0u);
}

BOOST_AUTO_TEST_CASE(print_shows_shape_dtype_and_values) {
  BOOST_TEST(fmt::format("{}", Tensor::of({{1, 2.5}, {3, -4}})) == "[2, 2] f32 [[1, 2.5], [3, -4]]");
  BOOST_TEST(fmt::format("{}", Tensor::of(0.1, DType::f64)) == "[] f64 0.1");
  BOOST_TEST(fmt::format("{}", Tensor({0, 2})) == "[0, 2] f32 []");
  BOOST_TEST(fmt::format("{}", Tensor({2, 0})) == "[2, 0] f32 [[], []]");
  BOOST_TEST(fmt::format("{}", Tensor()) == "empty tensor");
  BOOST_TEST(fmt::format("{}", Tensor({20}, DType::i64)) ==
             "[20] i64 [0, 0, 0, 0, 0, 0, 0, 0, …, 0, 0, 0, 0, 0, 0, 0, 0]");
  BOOST_TEST(fmt::format("{}", Tensor::full({2}, std::nan(""))) == "[2] f32 [nan, nan]");
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  Tensor x({2, 3});
  const Tensor& constant = x;
  BOOST_TEST(error_of([&] { constant.data<double>(); }) ==
             "tensor: a f64 view of a f32 tensor of shape [2, 3]");
  BOOST_TEST(error_of([&] { x.matrix<Index>(); }) == "tensor: a i64 view of a f32 tensor of shape [2, 3]");
  BOOST_TEST(error_of([&] { x.item(); }) == "item: the tensor must have one element, got shape [2, 3]");
  BOOST_TEST(error_of([&] { x.at({0}); }) == "at: 1 indices for shape [2, 3]");
  BOOST_TEST(error_of([&] { x.at({0, 3}); }) == "at: index 3 of axis 1 is out of range for shape [2, 3]");
  BOOST_TEST(error_of([&] { x.at({-1, 0}); }) == "at: index -1 of axis 0 is out of range for shape [2, 3]");
  BOOST_TEST(error_of([&] { x.reshaped({4}); }) ==
             "reshaped: shape [2, 3] with 6 elements cannot become [4] with 4");
  BOOST_TEST(error_of([&] {
               x.copy_from(Tensor({3, 2}));
             }) == "copy_from: a f32 tensor of shape [3, 2] into a f32 tensor of shape [2, 3]");
  BOOST_TEST(error_of([] { Tensor().to_vector(); }) == "tensor: an empty tensor has no values");
  BOOST_TEST(error_of([] { Tensor().clone(); }) == "tensor: an empty tensor has no values");
}

BOOST_AUTO_TEST_CASE(numbers_that_are_no_indices_throw) {
  BOOST_TEST(error_of([] { Tensor::ids({1, std::nan("")}); }) == "tensor: nan does not fit i64");
  BOOST_TEST(error_of([] { Tensor::of(1e300, DType::f64).to(DType::i64); }) ==
             "tensor: 1e+300 does not fit i64");
  BOOST_TEST(error_of([] { Tensor::of(-0x1p64).to(DType::i64); }) ==
             "tensor: -1.8446744e+19 does not fit i64");
  BOOST_TEST(error_of([] { Tensor({2}, DType::i64).fill(0x1p63); }) ==
             "tensor: 9.223372036854776e+18 does not fit i64");
  BOOST_TEST(Tensor::of(-0x1p63, DType::f64).to(DType::i64).item() == -0x1p63);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
