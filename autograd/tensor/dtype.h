/// Scalar types, and the dispatch from a run-time dtype to C++ code.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "../base/error.h"

namespace Eigen {
struct half;
struct bfloat16;
}  // namespace Eigen

namespace tapegrad {

/// Scalar type of a tensor. Ops and tapes compute in f32 and f64 alone; i64 holds indices, boolean holds
/// masks (one byte each, 0 or 1). f16, bf16, i32 and u8 are for storage: such tensors are read and written,
/// converted by `Tensor::to`, printed and compared, and refused by ops and tapes.
enum class DType : std::uint8_t { f32, f64, i64, boolean, f16, bf16, i32, u8 };

/// Bytes of one element.
constexpr std::size_t byte_size(DType dtype) {
  constexpr std::uint8_t sizes[] = {4, 8, 8, 1, 2, 2, 4, 1};
  return sizes[static_cast<std::size_t>(dtype)];
}
constexpr std::string_view dtype_name(DType dtype) {
  constexpr std::string_view names[] = {"f32", "f64", "i64", "boolean", "f16", "bf16", "i32", "u8"};
  return names[static_cast<std::size_t>(dtype)];
}
/// The types that ops compute in.
constexpr bool can_compute(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }
constexpr bool is_floating(DType dtype) {
  return can_compute(dtype) || dtype == DType::f16 || dtype == DType::bf16;
}

/// DType of a C++ scalar: float, double, std::int64_t, std::int32_t, Eigen::half, Eigen::bfloat16, and
/// std::uint8_t, whose views fit boolean and u8 tensors alike (a tensor made from such values is boolean).
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
template <>
constexpr DType dtype_of<Eigen::half>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<Eigen::bfloat16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}

/// Runs one generic lambda for the scalar of `dtype`: `dispatch(x.dtype, [&](auto zero) { using T =
/// decltype(zero); … })`. Throws for all but f32 and f64.
template <class F>
decltype(auto) dispatch(DType dtype, F&& body) {
  expects(can_compute(dtype), "dispatch: arithmetic needs f32 or f64, got {}", dtype_name(dtype));
  if (dtype == DType::f32) return std::forward<F>(body)(float{});
  return std::forward<F>(body)(double{});
}

}  // namespace tapegrad
