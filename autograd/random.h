#pragma once
#include <tapegrad/autograd/kernels/random.h>

namespace tapegrad {

/// Counted randomness: a key names a draw, and element i of the draw is a pure function of (key, i).
using kernels::random_bits;
using kernels::random_key;
using kernels::RandomKey;
using kernels::uniform01;

}  // namespace tapegrad
