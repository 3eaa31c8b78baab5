#pragma once
#include <cstddef>
#include <vector>

#include "explanation.h"

namespace tapegrad {

/// What a page holds that has no room for all arrays. A value's array goes with its gradient.
struct KeptArrays {
  std::vector<bool> values;   ///< by id
  std::vector<bool> parts;    ///< by id of the value that rules send them to
  std::vector<bool> updates;  ///< by place in Explanation::parameters
  std::vector<bool> labs;     ///< by place in Explanation::labs
  std::size_t left_out() const;
};

/// Keeps what fits into about `bytes` of JSON, in this order: the loss (always) and its logits; all but the
/// weights of the attention layers of the first layers of encoder and decoder; arrays of at most 64 numbers;
/// the weights of these layers, in f32; other attention layers; the rest, the smallest first. An attention
/// layer is kept whole, but for its weights, or not at all. Several parts of one gradient go with it, but
/// come last for these weights.
KeptArrays keep_arrays(const Explanation& what, std::size_t bytes);

/// Whether a lab calls a value by this name that is one of its projections' weights or biases.
bool is_projection(const std::string& name);

/// Numbers in place of an array; over its finite elements.
struct ArraySummary {
  double min = 0, max = 0, mean = 0, norm = 0;
  bool finite = true;
};
ArraySummary summary_of(const std::vector<double>& values);

}  // namespace tapegrad
