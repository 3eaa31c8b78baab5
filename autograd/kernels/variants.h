/// Internal: the table of kernels of each instruction set, for dispatch and tests.
#pragma once

#include "adam.h"
#include "attention/attention.h"
#include "cross_entropy.h"
#include "dropout.h"
#include "elementwise.h"
#include "embedding.h"
#include "gemm/gemm.h"
#include "norm.h"
#include "softmax.h"

namespace tapegrad::kernels {

enum class Isa { generic, avx2, avx512 };

/// Every kernel for scalar T: X(name), in the order of the headers.
#define TAPEGRAD_KERNELS(X)                                                                                \
  X(gemm)                                                                                                  \
  X(gemm_relu)                                                                                             \
  X(softmax) X(softmax_backward) X(log_softmax) X(log_softmax_backward) X(logsumexp) X(logsumexp_backward) \
      X(layer_norm) X(layer_norm_backward) X(add_layer_norm) X(add_layer_norm_backward) X(rms_norm)        \
          X(rms_norm_backward) X(attention_forward) X(attention_backward) X(attention_step)                \
              X(cross_entropy_forward) X(cross_entropy_backward) X(adam) X(dropout_forward)                \
                  X(dropout_backward) X(exp) X(log) X(tanh) X(sigmoid) X(erf) X(relu) X(relu_backward)     \
                      X(relu_gradient) X(gelu) X(gelu_backward) X(gelu_gradient) X(gelu_tanh)              \
                          X(gelu_tanh_backward) X(add_into) X(add) X(scale) X(sum) X(sum_squares) X(max)   \
                              X(sum_rows) X(transpose) X(embed) X(embed_backward)

template <class T>
struct Table {
#define TAPEGRAD_KERNEL_MEMBER(name) decltype(&kernels::name<T>) name = nullptr;
  TAPEGRAD_KERNELS(TAPEGRAD_KERNEL_MEMBER)
  /// What this processor can do at best, for benchmarks: multiply-adds in registers; returns the operations
  /// done.
  double (*multiply_add_loop)(Index rounds) = nullptr;
#undef TAPEGRAD_KERNEL_MEMBER
};

/// The kernels of `isa`, or null when this build or this processor lacks it.
template <class T>
const Table<T>* variant(Isa isa);

/// The instruction set in use: the best one there is, or a lower one named by the environment variable
/// TAPEGRAD_ISA (generic, avx2, avx512) when the first kernel runs.
Isa active_isa();

/// "generic", "avx2" or "avx512".
const char* isa_name(Isa isa);

}  // namespace tapegrad::kernels
