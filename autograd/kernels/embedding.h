/// Embedding: gathers rows of a table by token id, scales them and adds a row of positions.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace tapegrad::kernels {

/// y[i] = table[ids[i]] * factor + positions[i % time] for rows of n values; product and sum are rounded
/// separately.
TAPEGRAD_KERNEL(void, embed,
                (const T* table, const std::int64_t* ids, Index count, Index n, T factor, const T* positions,
                 Index time, T* y),
                (table, ids, count, n, factor, positions, time, y))

/// dtable[ids[i]] += factor * dy[i], but not for row `padding` (none: -1), and dpositions[i % time] += dy[i];
/// i ascends. dtable and dpositions may each be null.
TAPEGRAD_KERNEL(void, embed_backward,
                (const T* dy, const std::int64_t* ids, Index count, Index n, T factor, Index padding,
                 T* dtable, Index time, T* dpositions),
                (dy, ids, count, n, factor, padding, dtable, time, dpositions))

}  // namespace tapegrad::kernels
