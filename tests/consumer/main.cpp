// Uses the installed library: an error of ours, caught by its type.
#include <tapegrad/autograd/error.h>

#include <cstdio>
#include <string>

int main() {
  try {
    tapegrad::expects(false, "consumer: {} is not {}", 1, 2);
  } catch (const tapegrad::Error& error) {
    std::puts(error.what());
    return std::string(error.what()) == "consumer: 1 is not 2" ? 0 : 1;
  }
  return 1;
}
