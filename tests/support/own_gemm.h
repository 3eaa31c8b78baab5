#pragma once
#include <boost/test/unit_test.hpp>

#include <string_view>

#include <tapegrad/autograd/kernels/gemm/gemm_backend.h>

namespace tapegrad::test {

/// A precondition, `*boost::unit_test::precondition(own_gemm)`, of cases that hold a promise which own matrix
/// products alone give: bits that depend on a row and a column, and not on how a product is cut or stored.
inline boost::test_tools::assertion_result own_gemm(boost::unit_test::test_unit_id) {
  boost::test_tools::assertion_result result(kernels::gemm_backend() == std::string_view("own"));
  result.message() << "TAPEGRAD_GEMM=" << kernels::gemm_backend() << " does not promise these bits";
  return result;
}

}  // namespace tapegrad::test
