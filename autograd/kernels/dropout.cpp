#include "dropout_row.h"
#include "variants.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

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

}  // namespace

template <class T>
void fill_dropout(Table<T>& table) {
  table.dropout_forward = &dropout_forward<T>;
  table.dropout_backward = &dropout_backward<T>;
}
template void fill_dropout(Table<float>&);
template void fill_dropout(Table<double>&);

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
