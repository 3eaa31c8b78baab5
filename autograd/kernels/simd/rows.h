/// Internal: walking a row in blocks of 16 elements, and the 16-lane reductions.
///
/// Element j of a row belongs to lane j % 16. A lane takes its elements in ascending order, and the lanes are
/// joined by a fixed tree (distance 8, 4, 2, 1), whatever the width of a vector. So a reduction has equal
/// bits in every instruction set that fuses multiply-adds, and padding a row with neutral elements changes
/// nothing.
#pragma once

#include "isa.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Vectors in 16 lanes.
template <class T>
constexpr int kParts = kLanes / kWidth<T>;

/// Stands for `Mask` where all lanes are live.
template <class T>
struct Full {
  TAPEGRAD_INLINE Vector<T> load(const T* p) const { return TAPEGRAD_ISA::load(p); }
  TAPEGRAD_INLINE void store(T* p, Vector<T> v) const { TAPEGRAD_ISA::store(p, v); }
  TAPEGRAD_INLINE Vector<T> select(Vector<T> v, T) const { return v; }
};

/// v in the first `live` lanes, `other` in the rest.
template <class T>
TAPEGRAD_INLINE Vector<T> select_first(Index live, Vector<T> v, T other) {
  IntVector<T> lane;
  for (int i = 0; i < kWidth<T>; ++i) lane[i] = i;
  using Lane = std::remove_reference_t<decltype(lane[0])>;
  return lane < static_cast<Lane>(min_of<Index>(live, kWidth<T>)) ? v : splat<T>(other);
}

/// A `Mask` that can also put `other` into the dead lanes.
template <class T>
struct Tail : Mask<T> {
  Index live;
  TAPEGRAD_INLINE explicit Tail(Index n) : Mask<T>(n), live(n) {}
  TAPEGRAD_INLINE Vector<T> select(Vector<T> v, T other) const { return select_first(live, v, other); }
};

/// The tail of a row of scratch memory padded to whole blocks of 16: dead lanes are loaded unchanged and
/// stored as zeros. Whole vectors, unlike masked ones, are fast to load after a store.
template <class T>
struct PaddedTail {
  Index live;
  TAPEGRAD_INLINE explicit PaddedTail(Index n) : live(n) {}
  TAPEGRAD_INLINE Vector<T> load(const T* p) const { return TAPEGRAD_ISA::load(p); }
  TAPEGRAD_INLINE void store(T* p, Vector<T> v) const { TAPEGRAD_ISA::store(p, select(v, T{0})); }
  TAPEGRAD_INLINE Vector<T> select(Vector<T> v, T other) const { return select_first(live, v, other); }
};

/// The start value of an accumulator: its old value, or +0 when `accumulate` is false.
template <class T, class M>
TAPEGRAD_INLINE Vector<T> load_sum(bool accumulate, const M& mask, const T* p) {
  return accumulate ? mask.load(p) : Vector<T>{};
}

/// Loads from memory that is not padded, for either kind of body.
template <class T>
TAPEGRAD_INLINE Vector<T> load_exact(const Full<T>&, const T* p) {
  return load(p);
}
template <class T>
TAPEGRAD_INLINE Vector<T> load_exact(const PaddedTail<T>& tail, const T* p) {
  return Mask<T>(tail.live).load(p);
}

/// Calls body(mask, part, j) for every vector of a row of n elements: j is its first element, part its place
/// in the block of 16 lanes.
template <class T, template <class> class Last = Tail, class Body>
TAPEGRAD_INLINE void for_row(Index n, Body body) {
  Index j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    TAPEGRAD_UNROLL
    for (int part = 0; part < kParts<T>; ++part) body(Full<T>{}, part, j + part * kWidth<T>);
  }
  if (j < n) {
    TAPEGRAD_UNROLL
    for (int part = 0; part < kParts<T>; ++part)
      body(Last<T>(n - j - part * kWidth<T>), part, j + part * kWidth<T>);
  }
}

/// Calls body(mask, i) for every vector of n elements, where lanes do not matter.
template <class T, class Body>
TAPEGRAD_INLINE void for_each_vector(Index n, Body body) {
  Index i = 0;
  for (; i + kWidth<T> <= n; i += kWidth<T>) body(Full<T>{}, i);
  if (i < n) body(Tail<T>(n - i), i);
}

template <class T>
struct Lanes {
  Vector<T> part[kParts<T>];

  TAPEGRAD_INLINE explicit Lanes(T start) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < kParts<T>; ++i) part[i] = splat<T>(start);
  }

  template <class Join>
  TAPEGRAD_INLINE T reduce(Join join) const {
    Vector<T> joined[kParts<T>];
    TAPEGRAD_UNROLL
    for (int i = 0; i < kParts<T>; ++i) joined[i] = part[i];
    TAPEGRAD_UNROLL
    for (int half = kParts<T> / 2; half > 0; half /= 2) {
      TAPEGRAD_UNROLL
      for (int i = 0; i < half; ++i) joined[i] = join(joined[i], joined[i + half]);
    }
    Vector<T> v = joined[0];
    if constexpr (kWidth < T >> 8) v = join(v, rotate<T, 8>(v));
    if constexpr (kWidth < T >> 4) v = join(v, rotate<T, 4>(v));
    if constexpr (kWidth < T >> 2) v = join(v, rotate<T, 2>(v));
    return join(v, rotate<T, 1>(v))[0];
  }
  TAPEGRAD_INLINE T sum() const {
    return reduce([](Vector<T> a, Vector<T> b) __attribute__((always_inline)) { return a + b; });
  }
  TAPEGRAD_INLINE T max() const {
    return reduce([](Vector<T> a, Vector<T> b) __attribute__((always_inline)) { return vmax(a, b); });
  }
};

/// Maximum of a row; NaNs are passed over or returned.
template <class T>
TAPEGRAD_INLINE T row_max(const T* x, Index n) {
  Lanes<T> lanes(-kInfinity<T>);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        lanes.part[part] = vmax(lanes.part[part], mask.select(mask.load(x + j), -kInfinity<T>));
      });
  return lanes.max();
}

template <class T>
TAPEGRAD_INLINE T row_sum(const T* x, Index n) {
  Lanes<T> lanes(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j)
             __attribute__((always_inline)) { lanes.part[part] += mask.load(x + j); });
  return lanes.sum();
}

/// Sum of x * y.
template <class T>
TAPEGRAD_INLINE T row_dot(const T* x, const T* y, Index n) {
  Lanes<T> lanes(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        lanes.part[part] = fma(mask.load(x + j), mask.load(y + j), lanes.part[part]);
      });
  return lanes.sum();
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
