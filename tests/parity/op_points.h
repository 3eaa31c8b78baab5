#pragma once
#include <tapegrad/autograd/gradcheck/samples.h>

#include <vector>

namespace tapegrad::test {

/// A point of an op that no sample of it can hold, since finite differences fail there: kinks, ties, values
/// where the function is flat, gradients that are left out by definition.
struct OpPoint {
  const char* op;
  Sample sample;
};

std::vector<OpPoint> op_points();

}  // namespace tapegrad::test
