/// Internal: scratch memory of kernels, one set of blocks per thread, grown and never shrunk.
#pragma once

#include <cstddef>

namespace tapegrad::kernels {

enum class Scratch : int { gemm_a, gemm_b, keys, values, scores, gradient, count };

/// At least `bytes` bytes, 64-byte aligned, of this thread's block `which`. Valid until a larger request for
/// that block; contents are undefined. Throws std::bad_alloc.
void* workspace(Scratch which, std::size_t bytes);

/// Bytes that all blocks of this thread hold.
std::size_t workspace_bytes();

}  // namespace tapegrad::kernels
