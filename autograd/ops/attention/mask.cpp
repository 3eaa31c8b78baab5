#include "mask.h"

#include <algorithm>
#include <vector>

#include "../../tensor/broadcast.h"

namespace tapegrad {
namespace {

/// `given` itself, or a boolean copy of bytes.
Tensor checked(const char* from, const Tensor& given) {
  expects(static_cast<bool>(given), "{}: an empty tensor", from);
  expects(given.dtype() == DType::boolean || given.dtype() == DType::u8,
          "{}: the tensor must be boolean, got {} {}", from, dtype_name(given.dtype()), given.shape());
  return given.dtype() == DType::boolean ? given : given.to(DType::boolean);
}

/// Writes the logical and of two tensors that broadcast to `out`.
void and_into(std::uint8_t* out, const Shape& shape, const TensorView& a, const TensorView& b) {
  const auto *x = a.data<std::uint8_t>(), *y = b.data<std::uint8_t>();
  for_each_run(shape, a.shape, b.shape, [&](Index at, Index a_at, Index b_at, Index n, Index da, Index db) {
    for (Index i = 0; i < n; ++i) out[at + i] = x[a_at + i * da] != 0 && y[b_at + i * db] != 0;
  });
}

Tensor both(const Tensor& a, const Tensor& b) {
  if (!a) return b;
  if (!b) return a;
  Shape shape;
  expects(broadcast(a.shape(), b.shape(), shape),
          "mask: keep tensors of shapes {} and {} do not broadcast together; aligned at the last "
          "axis, extents must be equal or 1",
          a.shape(), b.shape());
  Tensor result(shape, DType::boolean);
  and_into(result.data<std::uint8_t>(), shape, a.view(), b.view());
  return result;
}

Tensor shorter(const Tensor& a, const Tensor& b) {
  if (!a) return b;
  if (!b) return a;
  expects(a.shape() == b.shape(), "mask: lengths of {} and of {} examples do not combine", a.size(),
          b.size());
  Tensor result = a.clone();
  for (Index i = 0; i < b.size(); ++i)
    result.data<Index>()[i] = std::min(a.data<Index>()[i], b.data<Index>()[i]);
  return result;
}

}  // namespace

void MaskView::check(const char* op, const Shape& scores) const {
  if (keep) {
    Shape result;
    const int rank = keep.shape.rank();
    expects((rank == 2 || rank == 4) && broadcast(keep.shape, scores, result) && result == scores,
            "{}: mask of shape {} does not broadcast to [batch, heads, query, key] = {}; a mask is [query, "
            "key] or of rank 4, with "
            "extents of 1 where it repeats",
            op, keep.shape, scores);
  }
  if (lengths) {
    const Index batch = scores[0], keys = scores[3];
    expects(lengths.size() == batch,
            "{}: mask with lengths of {} examples does not fit [batch, heads, query, key] = {}", op,
            lengths.size(), scores);
    const auto* length = lengths.data<Index>();
    for (Index b = 0; b < batch; ++b)
      expects(length[b] <= keys, "{}: mask length {} of example {} is larger than the number of keys, {}", op,
              length[b], b, keys);
  }
}

Tensor MaskView::to_tensor(const Shape& scores) const {
  Tensor result = Tensor::full(scores, 1, DType::boolean);
  auto* out = result.data<std::uint8_t>();
  if (keep) and_into(out, scores, result.view(), keep);
  if (!causal && !lengths) return result;
  const Index per_example = scores[1] * scores[2], keys = scores[3];
  for (Index row = 0; row < scores.rows(); ++row) {
    Index end = keys;
    if (causal) end = std::min(end, row % scores[2] + causal_offset + 1);
    if (lengths) end = std::min(end, lengths.data<Index>()[row / per_example]);
    for (Index j = std::max<Index>(end, 0); j < keys; ++j) out[row * keys + j] = 0;
  }
  return result;
}

Mask Mask::causal(Index offset) {
  constexpr Index limit = Index{1} << 48;  // beyond every extent, and sums with one do not overflow
  Mask mask;
  mask.causal_ = true;
  mask.causal_offset_ = std::clamp<Index>(offset, -limit, limit);
  return mask;
}

Mask Mask::keep(const Tensor& keep) {
  Mask mask;
  mask.keep_ = checked("Mask::keep", keep);
  return mask;
}

Mask Mask::block(const Tensor& block) {
  const Tensor checked_block = checked("Mask::block", block);
  Mask mask;
  mask.keep_ = Tensor(block.shape(), DType::boolean);
  const auto* blocked = checked_block.data<std::uint8_t>();
  std::transform(blocked, blocked + block.size(), mask.keep_.data<std::uint8_t>(),
                 [](std::uint8_t b) { return static_cast<std::uint8_t>(b == 0); });
  return mask;
}

Mask Mask::keys(const Tensor& keep) {
  const Tensor given = checked("Mask::keys", keep);
  expects(keep.rank() == 2, "Mask::keys: the tensor must be [batch, key], got {}", keep.shape());
  Mask mask;
  mask.keep_ = given.reshaped({keep.shape()[0], 1, 1, keep.shape()[1]});
  return mask;
}

Mask Mask::from_lengths(const Tensor& lengths) {
  expects(static_cast<bool>(lengths) && lengths.dtype() == DType::i64 && lengths.rank() == 1,
          "Mask::from_lengths: lengths must be i64 [batch], got {} {}", dtype_name(lengths.dtype()),
          lengths.shape());
  for (Index b = 0; b < lengths.size(); ++b)
    expects(lengths.data<Index>()[b] >= 0, "Mask::from_lengths: length {} of example {} is negative",
            lengths.data<Index>()[b], b);
  Mask mask;
  mask.lengths_ = lengths;
  return mask;
}

Mask Mask::from_lengths(std::span<const Index> lengths) {
  Tensor copy({static_cast<Index>(lengths.size())}, DType::i64);
  std::copy(lengths.begin(), lengths.end(), copy.data<Index>());
  return from_lengths(copy);
}

Mask operator&(const Mask& a, const Mask& b) {
  Mask result;
  result.keep_ = both(a.keep_, b.keep_);
  result.lengths_ = shorter(a.lengths_, b.lengths_);
  result.causal_ = a.causal_ || b.causal_;
  result.causal_offset_ = a.causal_ && b.causal_ ? std::min(a.causal_offset_, b.causal_offset_)
                                                 : (a.causal_ ? a.causal_offset_ : b.causal_offset_);
  return result;
}

std::string Mask::describe() const {
  std::string text;
  const auto add = [&](std::string part) { text += (text.empty() ? "" : " & ") + std::move(part); };
  if (causal_) add(causal_offset_ == 0 ? "causal" : fmt::format("causal({})", causal_offset_));
  if (lengths_) add(fmt::format("lengths {}", lengths_.shape()));
  if (keep_) add(fmt::format("keep {}", keep_.shape()));
  return text.empty() ? "none" : text;
}

Tensor Mask::to_tensor(Index batch, Index heads, Index query, Index key) const {
  const Shape scores{batch, heads, query, key};
  const MaskView view{keep_ ? keep_.view() : TensorView{}, lengths_ ? lengths_.view() : TensorView{}, causal_,
                      causal_offset_};
  view.check("Mask::to_tensor", scores);
  return view.to_tensor(scores);
}

MaskView Mask::copy_to_arena(Tape& tape) const {
  return {keep_ ? tape.copy_to_arena(keep_) : TensorView{},
          lengths_ ? tape.copy_to_arena(lengths_) : TensorView{}, causal_, causal_offset_};
}

}  // namespace tapegrad
