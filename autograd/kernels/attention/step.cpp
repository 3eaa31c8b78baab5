#include "../gemm/packed_gemm.h"
#include "../workspace.h"
#include "attention.h"
#include "row.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
void attention_step(const AttentionStepArgs<T>& args) {
  const Index width = args.heads * args.head_dim;
  for (Index row = 0; row < args.rows; ++row) {
    const Index n = args.lengths[row];
    const T* keys = args.keys + args.slots[row] * args.slot_keys;
    const T* values = args.values + args.slots[row] * args.slot_values;
    const T* query = args.query + row * args.query_stride;
    T* out = args.out + row * width;
    T* s = static_cast<T*>(
        workspace(Scratch::scores, static_cast<std::size_t>(round_up(n, kLanes)) * sizeof(T)));
    for (Index h = 0; h < args.heads; ++h) {
      const Index first = h * args.head_dim;
      gemm<T>(false, false, 1, n, args.head_dim, query + first, width, keys + first * args.key_capacity,
              args.key_capacity, s, n, nullptr, false);
      softmax_row(Scores<T>{args.scale, nullptr}, s, n);
      gemm<T>(false, false, 1, args.head_dim, n, s, n, values + first, width, out + first, width, nullptr,
              false);
    }
  }
}

TAPEGRAD_INSTANTIATE(attention_step)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
