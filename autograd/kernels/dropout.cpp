#include <tapegrad/autograd/kernels/dropout_row.h>
#include <tapegrad/autograd/kernels/variants.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

// A dropped element becomes +0 whatever it was: x * 0 would keep NaN, inf and the sign.
template <class T>
void dropout_forward(const T* x, T* y, Index n, double p, RandomKey key, std::uint64_t first_element) {
  const Dropout<T> dropout(p, key);
  dropout.for_each(
      n, first_element, [=](Index i, T factor) __attribute__((always_inline)) {
        const T kept = x[i] * factor;
        y[i] = factor == 0 ? T{0} : kept;
      });
}

template <class T>
void dropout_backward(const T* dy, T* dx, Index n, double p, RandomKey key, std::uint64_t first_element) {
  const Dropout<T> dropout(p, key);
  dropout.for_each(
      n, first_element, [=](Index i, T factor) __attribute__((always_inline)) {
        const T kept = dy[i] * factor;
        dx[i] += factor == 0 ? T{0} : kept;
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
