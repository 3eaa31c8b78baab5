/// Layer and RMS normalisation along the last dimension of a contiguous [rows, n] matrix.
#pragma once

#include <cstdint>

#include "dropout.h"
#include "kernel.h"

namespace tapegrad::kernels {

/// y = (x - mean) * rstd * gamma + beta with rstd = 1 / sqrt(variance + eps), the variance biased (Ba et al.,
/// 2016, arXiv 1607.06450). gamma and beta hold n values each; null means 1 and 0. mean and rstd receive one
/// value a row for the backward pass; each may be null. y may be x.
TAPEGRAD_KERNEL(void, layer_norm,
                (const T* x, const T* gamma, const T* beta, T eps, T* y, T* mean, T* rstd, Index rows,
                 Index n),
                (x, gamma, beta, eps, y, mean, rstd, rows, n))

/// dx += rstd * (g - mean(g) - xhat * mean(g * xhat)) with xhat = (x - mean) * rstd and g = dy * gamma;
/// dgamma += sum over rows of dy * xhat; dbeta += sum over rows of dy. gamma (null: 1), dx, dgamma and dbeta
/// may each be null. dx is written instead when `accumulate` is false. Sums over rows run in ascending row
/// order in every column.
TAPEGRAD_KERNEL(void, layer_norm_backward,
                (const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy, T* dx, T* dgamma,
                 T* dbeta, Index rows, Index n, bool accumulate = true),
                (x, gamma, mean, rstd, dy, dx, dgamma, dbeta, rows, n, accumulate))

/// A residual sum and its layer norm, for rows of n values: sum = x + f, or x + dropout(f) with p > 0, where
/// dropout_forward's rule decides about element i of f; y, mean and rstd are layer_norm(sum).
template <class T>
struct AddLayerNormArgs {
  Index rows, n;
  const T *x, *f;
  double p;
  RandomKey key;
  const T *gamma, *beta;  // each may be null
  T eps;
  T *sum, *y, *mean, *rstd;
};
TAPEGRAD_KERNEL(void, add_layer_norm, (const AddLayerNormArgs<T>& args), (args))

/// `dy` and `dsum` are the cotangents of y and of sum, each null where none arrived. dx += d and df += d, or
/// the kept d scaled, with d = dsum + the dx of layer_norm_backward; where `uninitialized_dx` or
/// `uninitialized_df`, it is written instead. Each may be null.
template <class T>
struct AddLayerNormGradients {
  const T *dy, *dsum;
  T *dx, *df;
  bool uninitialized_dx, uninitialized_df;
  T *dgamma, *dbeta;
};
TAPEGRAD_KERNEL(void, add_layer_norm_backward,
                (const AddLayerNormArgs<T>& args, const AddLayerNormGradients<T>& grads), (args, grads))

/// y = x * rstd * gamma with rstd = 1 / sqrt(mean(x^2) + eps) (Zhang and Sennrich, 2019, arXiv 1910.07467).
/// gamma may be null (1); rstd receives one value a row, or is null. y may be x.
TAPEGRAD_KERNEL(void, rms_norm, (const T* x, const T* gamma, T eps, T* y, T* rstd, Index rows, Index n),
                (x, gamma, eps, y, rstd, rows, n))

/// dx += rstd * (g - xhat * mean(g * xhat)) with xhat = x * rstd and g = dy * gamma; dgamma += sum of dy *
/// xhat. gamma, dx and dgamma may each be null; dx is written instead when `accumulate` is false.
TAPEGRAD_KERNEL(void, rms_norm_backward,
                (const T* x, const T* gamma, const T* rstd, const T* dy, T* dx, T* dgamma, Index rows,
                 Index n, bool accumulate = true),
                (x, gamma, rstd, dy, dx, dgamma, rows, n, accumulate))

}  // namespace tapegrad::kernels
