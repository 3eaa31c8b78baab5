/// The cross-entropy loss of logits and target classes.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// The reduction of the losses of single targets: their mean, their sum, or each by itself.
enum class Reduction { mean, sum, none };

struct CrossEntropyOptions {
  Index ignore_index = -100;  ///< a target of this value loses 0 and is not counted in the mean
  double label_smoothing =
      0;  ///< eps in [0, 1]: this much of the target's weight is spread evenly over all classes
  Reduction reduction = Reduction::mean;
};

/// loss_r = −(1 − eps) log p_r[target_r] − eps / vocab Σ_c log p_r[c] with p_r = softmax(logits_r) (label
/// smoothing: Szegedy et al., 2016, arXiv 1512.00567);  dlogits_r = dloss_r (p_r − (1 − eps) onehot(target_r)
/// − eps / vocab). logits [.., vocab], targets i64 [..]. The result is a scalar, or [..] for Reduction::none.
/// The mean is over the targets that are not ignored; without any it is 0, and so is its gradient. Throws
/// when the shapes do not fit, targets is not i64, a target is outside [0, vocab), or label_smoothing
/// outside [0, 1].
Var cross_entropy(const Var& logits, const Tensor& targets, const CrossEntropyOptions& options = {});

/// Number of targets that differ from `ignore_index`: what the mean is taken over.
Index count_targets(const Tensor& targets, Index ignore_index = -100);

}  // namespace tapegrad
