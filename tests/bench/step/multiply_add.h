#pragma once

#include <tapegrad/autograd/kernels/kernel.h>

namespace tapegrad::kernels {

/// `rounds` rounds of multiply-adds in registers, as many chains as a matrix product keeps at a time; returns
/// the operations done.
TAPEGRAD_KERNEL(double, multiply_add_loop, (Index rounds), (rounds))

}  // namespace tapegrad::kernels
