/// Masks of attention: which keys a query may see.
#pragma once
#include <span>
#include <string>

#include "../../tape.h"

namespace tapegrad {

/// A mask's parts as kernels and definitions read them; `keep` and `lengths` point into a tape's arena (or to
/// a Mask's own tensors). For ops; users build a Mask.
struct MaskView {
  TensorView keep;     // boolean, rank 2 or 4, or empty
  TensorView lengths;  // i64 [batch], or empty
  bool causal = false;
  Index causal_offset = 0;

  bool empty() const { return !keep && !lengths && !causal; }
  /// Throws `op: mask of shape … does not broadcast to [batch, heads, query, key] = …` unless every part fits
  /// `scores`.
  void check(const char* op, const Shape& scores) const;
  /// The whole mask, boolean, of shape `scores`, which `check` accepted: 1 where a key takes part.
  Tensor to_tensor(const Shape& scores) const;
};

/// Which keys take part in attention: true = takes part (as in Mask::keep), read over [batch, heads, query,
/// key]. A handle, free to copy: it shares the tensors it was made of. A causal mask and lengths cost no
/// memory, and masks are combined by `&`: a key takes part when both allow it. A query that no key is left
/// for gets zeros: in value, weights and gradient.
///
///     attention(q, k, v, {.mask = Mask::causal() & Mask::from_lengths(lengths)})
///
/// A boolean tensor does not convert to a Mask, since libraries differ in what `true` means: say Mask::keep
/// or Mask::block.
class Mask {
 public:
  /// Every key takes part.
  Mask() = default;
  static Mask none() { return {}; }
  /// Key j takes part for query i when j <= i + offset. With a cache of earlier keys, offset = number of
  /// earlier keys.
  static Mask causal(Index offset = 0);
  /// True = takes part. Boolean (or u8, non-zero = true), [query, key] or of rank 4 and broadcast to [batch,
  /// heads, query, key].
  static Mask keep(const Tensor& keep);
  /// True = is left out; otherwise like `keep`. Makes a negated copy.
  static Mask block(const Tensor& block);
  /// One set of keys for every head and query: boolean (or u8) [batch, key], true = takes part (a padding
  /// mask).
  static Mask keys(const Tensor& keep);
  /// In example b the first lengths[b] keys take part; [batch], i64. Throws on negative lengths.
  static Mask from_lengths(const Tensor& lengths);
  static Mask from_lengths(std::span<const Index> lengths);

  /// Both must allow a key. Two `keep` tensors become a new one (allocates); all else costs nothing or
  /// [batch] numbers.
  friend Mask operator&(const Mask& a, const Mask& b);

  bool empty() const { return !causal_ && !lengths_ && !keep_; }
  /// `causal & lengths [2] & keep [2, 1, 1, 4]`, or `none`.
  std::string describe() const;
  /// The mask in full, boolean [batch, heads, query, key]; throws when a part does not fit.
  Tensor to_tensor(Index batch, Index heads, Index query, Index key) const;
  /// Its parts copied into the tape's arena, for an op's attributes.
  MaskView copy_to_arena(Tape& tape) const;

 private:
  Tensor keep_, lengths_;
  bool causal_ = false;
  Index causal_offset_ = 0;
};

}  // namespace tapegrad
