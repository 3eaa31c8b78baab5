/// Views of a Tensor as Eigen::Tensor, for code that includes Eigen's unsupported headers.
#pragma once
#include <array>
#include <unsupported/Eigen/CXX11/Tensor>

#include "tensor.h"

namespace tapegrad {

/// A view of `x` as an Eigen tensor of compile-time rank, row-major: `tensor<float, 3>(x)`. A header of its
/// own, because Eigen's Tensor module makes what includes it slow to compile. Throws on the wrong scalar or
/// rank.
template <class T, int Rank>
Eigen::TensorMap<Eigen::Tensor<const T, Rank, Eigen::RowMajor>> tensor(const Tensor& x) {
  expects(x.rank() == Rank, "tensor: a view of rank {} of a tensor of shape {}", Rank, x.shape());
  std::array<Eigen::Index, static_cast<std::size_t>(Rank)> extents{};
  for (int axis = 0; axis < Rank; ++axis) extents[static_cast<std::size_t>(axis)] = x.shape()[axis];
  return {x.data<T>(), extents};
}

/// A view that may be written.
template <class T, int Rank>
Eigen::TensorMap<Eigen::Tensor<T, Rank, Eigen::RowMajor>> tensor(Tensor& x) {
  expects(x.rank() == Rank, "tensor: a view of rank {} of a tensor of shape {}", Rank, x.shape());
  std::array<Eigen::Index, static_cast<std::size_t>(Rank)> extents{};
  for (int axis = 0; axis < Rank; ++axis) extents[static_cast<std::size_t>(axis)] = x.shape()[axis];
  return {x.data<T>(), extents};
}

}  // namespace tapegrad
