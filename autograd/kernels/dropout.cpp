#include "dropout.h"
#include "dropout_row.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
void dropout_forward(const T* x, T* y, Index n, double p, RandomKey key, std::uint64_t first_element) {
  const Dropout<T> dropout(p, key);
  dropout.for_each(
      n, first_element, [=](auto mask, Index i, Vector<T> factor) __attribute__((always_inline)) {
        mask.store(y + i, dropped(mask.load(x + i), factor));
      });
}

template <class T>
void dropout_backward(const T* dy, T* dx, Index n, double p, RandomKey key, std::uint64_t first_element,
                      bool accumulate) {
  const Dropout<T> dropout(p, key);
  dropout.for_each(
      n, first_element, [=](auto mask, Index i, Vector<T> factor) __attribute__((always_inline)) {
        mask.store(dx + i, load_sum(accumulate, mask, dx + i) + dropped(mask.load(dy + i), factor));
      });
}

TAPEGRAD_INSTANTIATE(dropout_forward)
TAPEGRAD_INSTANTIATE(dropout_backward)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
