#include "embedding.h"
#include "simd/rows.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
void embed(const T* table, const std::int64_t* ids, Index count, Index n, T factor, const T* positions,
           Index time, T* y) {
  for (Index i = 0, at = 0; i < count; ++i, y += n, at = at + 1 == time ? 0 : at + 1) {
    const T *row = table + ids[i] * n, *position = positions + at * n;
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(y + j, mask.load(row + j) * factor + mask.load(position + j));
        });
  }
}

template <class T>
void embed_backward(const T* dy, const std::int64_t* ids, Index count, Index n, T factor, Index padding,
                    T* dtable, Index time, T* dpositions) {
  for (Index i = 0, at = 0; i < count; ++i, dy += n, at = at + 1 == time ? 0 : at + 1) {
    if (dtable && ids[i] != padding) {
      T* row = dtable + ids[i] * n;
      for_each_vector<T>(
          n, [&](auto mask, Index j) __attribute__((always_inline)) {
            mask.store(row + j, mask.load(row + j) + mask.load(dy + j) * factor);
          });
    }
    if (dpositions) {
      T* position = dpositions + at * n;
      for_each_vector<T>(
          n, [&](auto mask, Index j) __attribute__((always_inline)) {
            mask.store(position + j, mask.load(position + j) + mask.load(dy + j));
          });
    }
  }
}

TAPEGRAD_INSTANTIATE(embed)
TAPEGRAD_INSTANTIATE(embed_backward)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
