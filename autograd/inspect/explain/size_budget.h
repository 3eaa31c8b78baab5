/// Chooses the arrays that a page of limited size keeps (`keep_arrays`), and summarises the others.
#pragma once
#include <cstddef>
#include <vector>

#include "explanation.h"

namespace tapegrad {

/// The arrays that a page of limited size keeps. A value and its gradient are kept together.
struct SizeBudget {
  std::vector<bool> values;           ///< by id
  std::vector<bool> parts;            ///< by id of the value that they are contributions to the gradient of
  std::vector<bool> updates;          ///< by place in Explanation::parameters
  std::vector<bool> attention_views;  ///< by place in Explanation::attention_views
  std::size_t left_out() const;
};

/// Keeps the arrays that fit into about `bytes` of JSON, in this order: the loss (always) and its logits; the
/// attention of the first encoder and decoder layer without its projections' weights; arrays of at most 64
/// numbers; those weights, in f32; other attention layers; the rest, smallest first. An attention layer is
/// kept whole, apart from these weights, or not at all. The parts of a gradient are kept with it, those of
/// these weights last.
SizeBudget keep_arrays(const Explanation& what, std::size_t bytes);

/// Returns true when `name` is a weight or bias of a projection in AttentionView::values.
bool is_projection(const std::string& name);

/// Statistics that replace an omitted array, over its finite elements.
struct ArraySummary {
  double min = 0, max = 0, mean = 0, norm = 0;
  bool finite = true;
};
ArraySummary summary_of(const std::vector<double>& values);

}  // namespace tapegrad
