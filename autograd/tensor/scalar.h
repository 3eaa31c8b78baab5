/// Conversion of single scalars between dtypes.
#pragma once
#include <Eigen/Core>

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "dtype.h"

namespace tapegrad {

template <DType D, class T>
struct Storage {
  static constexpr DType dtype = D;
  using Scalar = T;
};

/// Calls `body` with the Storage of any dtype, not only those that ops compute in.
template <class F>
decltype(auto) with_storage(DType dtype, F&& body) {
  switch (dtype) {
    case DType::f32:
      return body(Storage<DType::f32, float>());
    case DType::f64:
      return body(Storage<DType::f64, double>());
    case DType::i64:
      return body(Storage<DType::i64, std::int64_t>());
    case DType::f16:
      return body(Storage<DType::f16, Eigen::half>());
    case DType::bf16:
      return body(Storage<DType::bf16, Eigen::bfloat16>());
    case DType::i32:
      return body(Storage<DType::i32, std::int32_t>());
    case DType::u8:
      return body(Storage<DType::u8, std::uint8_t>());
    default:
      return body(Storage<DType::boolean, std::uint8_t>());
  }
}

/// The float next to `value` whose last bit is set, unless `value` is a float itself: rounding that again, to
/// a type of at most 22 bits, gives what rounding `value` once gives (Boldo and Melquiond, "Emulation of a
/// FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008).
inline float rounded_to_odd(double value) {
  const float near = static_cast<float>(value);
  if (static_cast<double>(near) == value || std::isnan(value)) return near;
  const auto bits = std::bit_cast<std::uint32_t>(near);  // one less is one step towards 0
  const bool larger = std::fabs(static_cast<double>(near)) > std::fabs(value);
  return std::bit_cast<float>((larger ? bits - 1 : bits) | 1);
}

/// An integer as a double that rounds to a narrow type as `value` itself does: beyond 2^53, odd in the last
/// place.
inline double rounded_to_odd(std::int64_t value) {
  constexpr std::int64_t exact = std::int64_t{1} << 53, step = 1 << 10;
  if (value >= -exact && value <= exact) return static_cast<double>(value);
  const std::int64_t rest = value & (step - 1);
  return static_cast<double>(rest == 0 ? value : (value - rest) | step);
}

/// A stored value as the scalar of `Target`; see `convert` in tensor.h.
template <DType Target, class U>
auto convert_scalar(U value) {
  if constexpr (std::is_same_v<U, Eigen::half> || std::is_same_v<U, Eigen::bfloat16>) {
    return convert_scalar<Target>(static_cast<float>(value));
  } else if constexpr (Target == DType::f32) {
    return static_cast<float>(value);
  } else if constexpr (Target == DType::f64) {
    return static_cast<double>(value);
  } else if constexpr (Target == DType::f16 || Target == DType::bf16) {
    using T = std::conditional_t<Target == DType::f16, Eigen::half, Eigen::bfloat16>;
    if constexpr (std::is_same_v<U, std::int64_t>)
      return T(rounded_to_odd(rounded_to_odd(value)));
    else if constexpr (std::is_same_v<U, float>)
      return T(value);
    else
      return T(rounded_to_odd(static_cast<double>(value)));
  } else if constexpr (Target == DType::boolean) {
    return static_cast<std::uint8_t>(value != 0);
  } else {
    using T = std::conditional_t<Target == DType::i64, std::int64_t,
                                 std::conditional_t<Target == DType::i32, std::int32_t, std::uint8_t>>;
    bool fits = true;
    if constexpr (std::is_floating_point_v<U>) {
      const auto whole = std::trunc(static_cast<double>(value));
      constexpr double lowest = static_cast<double>(std::numeric_limits<T>::min());
      fits =
          whole >= lowest && whole < 2.0 * static_cast<double>(T{1} << (std::numeric_limits<T>::digits - 1));
    } else {
      fits = std::in_range<T>(value);
    }
    expects(fits, "tensor: {} does not fit {}", value, dtype_name(Target));
    return static_cast<T>(value);
  }
}

}  // namespace tapegrad
