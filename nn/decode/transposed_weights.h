/// Products of few rows with weights that are kept transposed.
#pragma once
#include <optional>
#include <unordered_map>

#include "../linear.h"

namespace tapegrad::nn {

/// Transposed copies of weight matrices. A product of one row or a few reads them faster than the weights
/// themselves, and has the bits of `linear` and `linear_activation`. A copy is made when its weight is first
/// read, and again when the parameter has changed. One object serves any number of models and calls, in one
/// thread at a time. Its products are for tapes that do not record.
class TransposedWeights {
 public:
  /// x Wᵀ + b of a layer.   x [..., in] -> [..., out]
  Var linear(const Var& x, const Linear& layer);
  /// activation(x Wᵀ + b) of a layer.
  Var linear(const Var& x, const Linear& layer, Activation activation);
  /// x W[rows]ᵀ + b[rows] for `count` rows of weight [out, in] and bias [out] from `begin` on; the bias may
  /// be empty.
  Var linear(const Var& x, const Parameter& weight, const Parameter& bias, Index begin, Index count);

  /// The copy of a weight [out, in] in the tape's dtype, [in, out].
  const Tensor& operator()(Tape& tape, const Parameter& weight);

 private:
  Var product(const Var& x, const Parameter& weight, const Parameter& bias, Index begin, Index count,
              std::optional<Activation> activation);

  struct Copy {
    Parameter of;  // keeps its key from being the address of another parameter
    Tensor values;
    std::uint64_t version;
  };
  std::unordered_map<const ParameterData*, Copy> copies_;
};

}  // namespace tapegrad::nn
