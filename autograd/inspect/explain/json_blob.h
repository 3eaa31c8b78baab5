/// Stores the arrays of a recording in two binary blocks for JSON, without duplicates.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "../page/json_text.h"

namespace tapegrad {

/// The arrays of a recording, concatenated for base64: an f64 part and an f32 part, little-endian. Equal
/// arrays are stored once. The binary form also holds NaN and infinities, which JSON cannot.
class JsonBlob {
 public:
  struct Place {
    std::size_t offset, length;  ///< in elements of its part
    bool f32;
  };

  /// With `from_f32` the numbers were computed in f32; arrays that f32 represents exactly are stored in f32.
  explicit JsonBlob(bool from_f32) : from_f32_(from_f32) {}

  /// Stores `values`. Without `exact` they are rounded to f32, unless one is too large or all are too small
  /// for f32.
  Place put(const std::vector<double>& values, bool exact) {
    std::uint64_t hash = values.size();
    for (const double x : values)
      hash = (hash ^ std::bit_cast<std::uint64_t>(x)) * 0x9e3779b97f4a7c15u + (hash >> 29);
    const auto [begin, end] = known_.equal_range(hash);
    for (auto it = begin; it != end; ++it)
      if (it->second.length == values.size() && (!it->second.f32 || !exact || from_f32_) &&
          same(it->second, values))
        return it->second;
    const bool f32 = from_f32_ ? lossless(values) : !exact && fits(values);
    const Place place{f32 ? f32_.size() : f64_.size(), values.size(), f32};
    if (f32)
      for (const double x : values) f32_.push_back(static_cast<float>(x));
    else
      f64_.insert(f64_.end(), values.begin(), values.end());
    known_.emplace(hash, place);
    return place;
  }

  std::string text64() const { return base64(f64_.data(), f64_.size() * sizeof(double)); }
  std::string text32() const { return base64(f32_.data(), f32_.size() * sizeof(float)); }

 private:
  static_assert(std::endian::native == std::endian::little);

  static bool same_bits(double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  }
  bool same(const Place& place, const std::vector<double>& values) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool equal = place.f32 ? std::bit_cast<std::uint32_t>(f32_[place.offset + i]) ==
                                         std::bit_cast<std::uint32_t>(static_cast<float>(values[i]))
                                   : same_bits(f64_[place.offset + i], values[i]);
      if (!equal) return false;
    }
    return true;
  }
  static bool lossless(const std::vector<double>& values) {
    for (const double x : values)
      if (!std::isnan(x) && !same_bits(x, static_cast<double>(static_cast<float>(x)))) return false;
    return true;
  }
  static bool fits(const std::vector<double>& values) {
    double most = 0;
    for (const double x : values)
      if (std::isfinite(x)) most = std::max(most, std::abs(x));
    return most == 0 || (most < 3e38 && most > 1e-30);
  }

  bool from_f32_;
  std::vector<double> f64_;
  std::vector<float> f32_;
  std::unordered_multimap<std::uint64_t, Place> known_;
};

}  // namespace tapegrad
