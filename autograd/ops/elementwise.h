/// Elementwise functions of one value.
#pragma once
#include "../tape.h"
#include "activation.h"

namespace tapegrad {

/// Functions of every element by itself, of any shape: y[i] = f(x[i]);  dx = dy ⊙ f'(x). Outside a function's
/// domain the value is what IEEE arithmetic gives (NaN or an infinity), never an error. Activation functions
/// stand in activation.h.

/// y = e^x;  dx = dy ⊙ y.
Var exp(const Var& x);
/// y = ln x;  dx = dy / x.
Var log(const Var& x);
/// y = ln(1 + x), exact near 0;  dx = dy / (1 + x).
Var log1p(const Var& x);
/// y = e^x − 1, exact near 0;  dx = dy ⊙ (y + 1).
Var expm1(const Var& x);
/// y = √x;  dx = dy / (2 y).
Var sqrt(const Var& x);
/// y = 1 / √x;  dx = −dy ⊙ y³ / 2.
Var rsqrt(const Var& x);
/// y = x²;  dx = 2 dy ⊙ x.
Var square(const Var& x);
/// y = 1 / x;  dx = −dy ⊙ y².
Var reciprocal(const Var& x);
/// y = |x|;  dx = dy ⊙ sign(x), 0 where x = 0.
Var abs(const Var& x);
/// y = sin x;  dx = dy ⊙ cos x.
Var sin(const Var& x);
/// y = cos x;  dx = −dy ⊙ sin x.
Var cos(const Var& x);
/// y = Φ(x) = (1 + erf(x / √2)) / 2, the normal distribution function, exact in the lower tail too;  dx = dy
/// ⊙ e^(−x²/2) / √(2π).
Var normal_cdf(const Var& x);
/// y = x^exponent;  dx = exponent · dy ⊙ x^(exponent − 1). The exponent is a number, without a gradient.
Var pow(const Var& x, double exponent);
/// y = min(max(x, low), high), NaN stays;  dx = dy where low <= x <= high, else 0. Throws unless low <= high.
Var clamp(const Var& x, double low, double high);

}  // namespace tapegrad
