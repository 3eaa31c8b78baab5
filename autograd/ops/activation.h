/// Activations: tanh, sigmoid, relu, gelu, silu and softplus.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// Activation functions: of every element by itself, of any shape.

/// y = tanh x;  dx = dy ⊙ (1 − y²).
Var tanh(const Var& x);
/// y = 1 / (1 + e^−x);  dx = dy ⊙ y ⊙ (1 − y).
Var sigmoid(const Var& x);
/// y = max(x, 0), NaN stays;  dx = dy where x > 0, else 0.
Var relu(const Var& x);

/// Which gelu: the exact one, or its approximation by tanh. PyTorch's `approximate="none"` and `"tanh"`.
enum class Gelu { erf, tanh };
/// y = x ⊙ Φ(x) with the normal distribution function Φ(x) = (1 + erf(x / √2)) / 2;  dx = dy ⊙ (Φ(x) + x
/// φ(x)), φ = Φ'. `Gelu::tanh`: y = x (1 + tanh u) / 2, u = √(2/π) (x + 0.044715 x³). Hendrycks and Gimpel,
/// 2016, arXiv:1606.08415.
Var gelu(const Var& x);
Var gelu(const Var& x, Gelu form);
/// y = x ⊙ σ(x), σ = sigmoid (also called swish);  dx = dy ⊙ (σ(x) + y (1 − σ(x))). Elfwing et al., 2017,
/// arXiv:1702.03118.
Var silu(const Var& x);
/// y = ln(1 + e^x), without overflow;  dx = dy ⊙ sigmoid(x).
Var softplus(const Var& x);

}  // namespace tapegrad
