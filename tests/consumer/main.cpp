// Uses the installed library: a kernel, called from outside, and an error of ours, caught by its type.
#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/kernels/gemm/gemm.h>

#include <cstdio>
#include <string>

int main() {
  const float a = 2, b = 3;
  float c = 0;
  tapegrad::kernels::gemm(false, false, 1, 1, 1, &a, 1, &b, 1, &c, 1);
  if (c != 6) return 1;
  try {
    tapegrad::expects(false, "consumer: {} is not {}", 1, 2);
  } catch (const tapegrad::Error& error) {
    std::puts(error.what());
    return std::string(error.what()) == "consumer: 1 is not 2" ? 0 : 1;
  }
  return 1;
}
