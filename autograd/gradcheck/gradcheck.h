/// Gradient check: compares first (gradcheck) and second (gradgradcheck) derivatives of a function of Vars
/// with finite differences in f64, and names the likely mistake when they disagree.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../tape.h"

namespace tapegrad {

struct GradcheckOptions {
  std::string label = {};   ///< names what is checked (an op, a layer) in the message
  double tolerance = 1e-8;  ///< largest relative error that passes: |a - n| / max(floor, |a|, |n|)
  double floor = 1e-3;      ///< below this the error is measured as if the derivative were this large
  double step = 1e-3;       ///< h = step * max(1, |x|), refined where the estimates for two steps disagree
  std::optional<Index> elements = {};  ///< check so many random elements of each input or parameter, or all
  Index allowed_kinks = 0;             ///< elements whose stencil may cross a kink before the check fails
  bool training = false;               ///< dropout is active, with equal draws in every evaluation
  bool fused = true;                   ///< check kernels; false checks definitions
  std::uint64_t seed = 1;              ///< of the cotangent, the chosen elements and the tape's draws
  bool diagnose = true;                ///< look for the usual mistakes when the check fails
};

struct GradcheckResult {
  bool ok = true;
  double max_relative_error = 0;
  Index checked = 0;  ///< elements compared
  Index kinks = 0;  ///< elements left out: the function has no derivative there; the message names the first
  /// The worst element: `softmax: input 0, element [1, 2]: analytic 0.25, numeric 0.5, relative error 0.5`,
  /// then the first kink, then `; looks like: …` with the diagnosis, if there is one.
  std::string message;
  /// The usual mistake that fits, in words; empty when the check passes or none fits. Failing subjects of at
  /// most 256 elements are compared at every element for it. See diagnose() in diagnosis/diagnosis.h.
  std::string diagnosis = {};

  explicit operator bool() const { return ok; }
};

using CheckedFunction = std::function<Var(const std::vector<Var>&)>;

/// Compares every derivative of `f` with finite differences, in f64. With L(x) = <f(x), c> for a fixed random
/// cotangent c, the tape's dL/dx_i is compared with the five-point stencil (Abramowitz and Stegun, 25.3.6)
///
///     (-L(x + 2h) + 8 L(x + h) - 8 L(x - h) + L(x - 2h)) / 12h = dL/dx + O(h^4).
///
/// At a kink the second differences L(x + k h) - 2 L(x) + L(x - k h) grow with k, not with k^2; such elements
/// are counted and named, and fail the check unless `allowed_kinks` admits them. Inputs must be f64; they are
/// variables of a tape that the check owns, and `f` may reach that tape through them. `f` must be
/// deterministic.
GradcheckResult gradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});

/// Also checks the trainable parameters of `params`, named by their paths. They must be f64; the check
/// changes them in place and restores them.
GradcheckResult gradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs, ParameterStore& params,
                          const GradcheckOptions& options = {});

/// gradcheck of the gradient function itself, with respect to the inputs and to the cotangent: of
/// sum_i <d<f(x), c>/dx_i, r_i> for fixed random r_i, recorded by backward(create_graph). The cotangent c is
/// the last input.
GradcheckResult gradgradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options = {});
/// Also differentiates with respect to the trainable parameters of `params`.
GradcheckResult gradgradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                              ParameterStore& params, const GradcheckOptions& options = {});

}  // namespace tapegrad
