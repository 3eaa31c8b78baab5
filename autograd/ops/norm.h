/// Normalisation of rows: layer norm and RMS norm.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// y = (x − mean(x)) / sqrt(var(x) + eps) ⊙ weight + bias over the last axis, with the biased variance (Ba et
/// al., 2016, arXiv 1607.06450). x [.., n], weight and bias [n] or left out. With x̂ the normalised x and g =
/// dy ⊙ weight:  dx = (g − mean(g) − x̂ mean(g ⊙ x̂)) / sqrt(var + eps), dweight = Σ_rows dy ⊙ x̂,  dbias =
/// Σ_rows dy. Throws when x is a scalar or its last axis is empty, weight or bias is not [n], or eps < 0.
Var layer_norm(const Var& x, const Operand& weight = {}, const Operand& bias = {}, double eps = 1e-5);

/// y = x / sqrt(mean(x²) + eps) ⊙ weight over the last axis (Zhang and Sennrich, 2019, arXiv 1910.07467). x
/// [.., n], weight [n] or left out. With x̂ = x / sqrt(mean(x²) + eps) and g = dy ⊙ weight:  dx = (g − x̂
/// mean(g ⊙ x̂)) / sqrt(mean(x²) + eps), dweight = Σ_rows dy ⊙ x̂. Throws as layer_norm does.
Var rms_norm(const Var& x, const Operand& weight = {}, double eps = 1e-6);

}  // namespace tapegrad
