#include <tapegrad/autograd/tensor/eigen_tensor.h>
#include <tests/support/expect.h>

#include <boost/test/unit_test.hpp>

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(eigen_tensor)

BOOST_AUTO_TEST_CASE(views_read_and_write_in_row_major_order) {
  Tensor x = test::counting({2, 3, 4}, DType::f32);
  BOOST_TEST((tensor<float, 3>(std::as_const(x))(1, 2, 3)) == 24.0F);
  tensor<float, 3>(x)(0, 1, 2) = -1;
  BOOST_TEST(x.at({0, 1, 2}) == -1.0);
}

BOOST_AUTO_TEST_CASE(wrong_scalar_or_rank_throws) {
  const Tensor x = test::counting({2, 3}, DType::f32);
  BOOST_CHECK_EXCEPTION((tensor<float, 3>(x)), Error,
                        test::says("tensor: a view of rank 3 of a tensor of shape [2, 3]"));
  BOOST_CHECK_EXCEPTION((tensor<double, 2>(x)), Error,
                        test::says("tensor: a f64 view of a f32 tensor of shape [2, 3]"));
}

BOOST_AUTO_TEST_SUITE_END()
