#pragma once
#include <tapegrad/autograd/tensor/tensor.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace tapegrad::test {

/// For BOOST_CHECK_EXCEPTION: the whole text of an error.
inline auto says(std::string expected) {
  return [expected](const Error& error) {
    BOOST_TEST(error.what() == expected);
    return error.what() == expected;
  };
}

/// Exact values, for arithmetic on small integers.
inline void check_values(const Tensor& actual, const Shape& shape, const std::vector<double>& values) {
  BOOST_TEST((actual.shape() == shape), fmt::format("shape {} instead of {}", actual.shape(), shape));
  BOOST_TEST(actual.to_vector() == values, boost::test_tools::per_element());
}

/// Values of rounded arithmetic: 1e-12 of each in f64, 1e-5 in f32.
inline void check_near(const Tensor& actual, const Shape& shape, const std::vector<double>& values) {
  BOOST_TEST((actual.shape() == shape), fmt::format("shape {} instead of {}", actual.shape(), shape));
  BOOST_TEST(actual.to_vector() == values,
             boost::test_tools::tolerance(actual.dtype() == DType::f64 ? 1e-12 : 1e-5)
                 << boost::test_tools::per_element());
}

/// 1, 2, 3, … in row-major order.
inline Tensor counting(const Shape& shape, DType dtype = DType::f64) {
  std::vector<double> values;
  for (Index i = 0; i < shape.size(); ++i) values.push_back(static_cast<double>(i + 1));
  return Tensor::from(values, shape, dtype);
}

}  // namespace tapegrad::test
