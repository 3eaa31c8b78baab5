#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <tapegrad/autograd/error.h>

namespace tapegrad {

/// Scalar type of a tensor. Gradients flow through f32 and f64; i64 holds indices, boolean holds masks (one
/// byte each).
enum class DType : std::uint8_t { f32, f64, i64, boolean };

constexpr std::size_t byte_size(DType dtype) {
  return dtype == DType::f32 ? 4 : dtype == DType::boolean ? 1 : 8;
}
constexpr std::string_view dtype_name(DType dtype) {
  constexpr std::string_view names[] = {"f32", "f64", "i64", "boolean"};
  return names[static_cast<std::size_t>(dtype)];
}
constexpr bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

/// DType of a C++ scalar: float, double, std::int64_t, and std::uint8_t (booleans are stored as bytes 0 and
/// 1).
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::boolean;
}

/// Runs one generic lambda for the scalar of `dtype`: `dispatch(x.dtype, [&](auto zero) { using T =
/// decltype(zero); … })`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& body) {
  expects(is_floating(dtype), "dispatch: arithmetic needs f32 or f64, got {}", dtype_name(dtype));
  if (dtype == DType::f32) return std::forward<F>(body)(float{});
  return std::forward<F>(body)(double{});
}

}  // namespace tapegrad
