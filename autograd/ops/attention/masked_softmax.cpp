#include "masked_softmax.h"

#include <algorithm>
#include <limits>

#include "../../kernels/softmax.h"
#include "../arithmetic.h"
#include "../compare.h"
#include "../softmax.h"
#include "../typed.h"

namespace tapegrad {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The set of keys that take part in one row.
struct RowMask {
  const std::uint8_t* keep;  // or null
  Index step, end;
  bool operator[](Index key) const { return key < end && (keep == nullptr || keep[key * step] != 0); }
};

struct MaskedSoftmax final : Typed<MaskedSoftmax, Fused> {
  MaskView mask;
  Shape scores;  // of the input
  MaskedSoftmax(const MaskView& kept, const Shape& shape) : mask(kept), scores(shape) {}

  const char* name() const override { return "masked_softmax"; }
  Formula formula() const override {
    return "y = e^x / sum(e^x) over the kept keys, else 0;  dx = y (dy - sum(dy y))";
  }
  /// keep: [query, key], or where that is not the same for all batches and heads [batch, heads, query, key].
  void attributes(Attributes& list) const override {
    const Tensor all = mask.to_tensor(scores);
    const auto *first = all.data<std::uint8_t>(), *end = first + all.size();
    const Index one = scores[2] * scores[3];
    bool alike = one > 0;
    for (const auto* at = first; alike && at < end; at += one) alike = std::equal(first, first + one, at);
    list.emplace_back("keep", std::vector<std::uint8_t>(first, alike && first < end ? first + one : end));
  }
  Shape shape(Views in, int) const override {
    const Shape& x = in[0].shape;
    expects(x.rank() == 4, "masked_softmax: scores must be [batch, heads, query, key], got {}", x);
    mask.check("masked_softmax", x);
    return x;
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const T* x = in[0];
    T* y = out[0];
    for_rows([&](Index row, const RowMask& kept, Index n) {
      for (Index j = row * n; j < (row + 1) * n; ++j)
        y[j] = kept[j - row * n] ? x[j] : -std::numeric_limits<T>::infinity();
    });
    kernels::softmax(static_cast<const T*>(y), y, scores.rows(), scores.cols());
  }

  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const T *y = g.y(), *dy = g.dy();
    T* dx = g.dx();
    for_rows([&](Index row, const RowMask& kept, Index n) {
      const Index at = row * n;
      T dot = 0;
      for (Index j = 0; j < n; ++j)
        if (kept[j]) dot += y[at + j] * dy[at + j];
      for (Index j = 0; j < n; ++j) {
        const T d = kept[j] ? y[at + j] * (dy[at + j] - dot) : T{0};
        dx[at + j] = g.uninitialized() ? d : dx[at + j] + d;
      }
    });
  }

  VarList define(std::span<const Var> in) const override {
    Tensor blocked = mask.to_tensor(scores);
    for (std::uint8_t& b : std::span(blocked.data<std::uint8_t>(), static_cast<std::size_t>(blocked.size())))
      b ^= 1;
    return {softmax(masked_fill(in[0], blocked, -infinity))};
  }

 private:
  /// body(row, its mask, keys) for every row.
  template <class Body>
  void for_rows(Body body) const {
    const auto* keep = mask.keep.data<std::uint8_t>();
    const auto* lengths = mask.lengths.data<Index>();
    const auto strides = broadcast_strides(mask.keep ? mask.keep.shape : Shape{}, scores);
    Index row = 0;
    for (Index b = 0; b < scores[0]; ++b)
      for (Index h = 0; h < scores[1]; ++h)
        for (Index q = 0; q < scores[2]; ++q, ++row) {
          Index end = scores[3];
          if (mask.causal) end = std::min(end, q + mask.causal_offset + 1);
          if (lengths) end = std::min(end, lengths[b]);
          const auto* from = keep ? keep + b * strides[0] + h * strides[1] + q * strides[2] : nullptr;
          body(row, RowMask{from, strides[3], end}, scores[3]);
        }
  }
};

}  // namespace

Var masked_softmax_with(const Var& x, const MaskView& mask) {
  if (mask.empty()) return softmax(x);
  return apply(MaskedSoftmax(mask, x.shape()), {x});
}

Var masked_softmax(const Var& scores, const Mask& mask) {
  Tape& tape = scores.tape("masked_softmax");
  return tape.with_rollback([&] { return masked_softmax_with(scores, mask.copy_to_arena(tape)); });
}

}  // namespace tapegrad
