/// Sample points of ops: each op registers the inputs at which the tests check its derivatives, kernels and
/// parity with PyTorch.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../tape.h"

namespace tapegrad {

/// One point at which an op is checked: inputs (f64; converted where a check runs in f32) and the call.
struct Sample {
  std::string label;
  std::vector<Tensor> inputs;
  std::function<Var(const std::vector<Var>&)> call;
  /// The call in PyTorch: a Python expression over the inputs a, b, c, … and the named constants, with
  /// `torch`, `F` (torch.nn.functional) and `math` in scope; the parity suite evaluates it. `none: REASON` if
  /// PyTorch has no counterpart.
  std::string torch = {};
  /// Indices and masks that the call captures and the expression names.
  std::vector<std::pair<std::string, Tensor>> constants = {};
  /// Training tape: draws are active (dropout).
  bool training = false;
  /// Compared with finite differences. False for samples of too many elements and for ops that withhold a
  /// gradient on purpose (a padding row).
  bool differences = true;
};

/// Registers the samples of an op, from the op's own .cpp: `const OpSamples matmul_samples("matmul", [] {
/// return std::vector<Sample>{…}; });`. The tests run every sample of every op through gradcheck,
/// gradgradcheck, kernel = definition, f32 against f64 and more; an op whose name has no samples fails them.
class OpSamples {
 public:
  using Make = std::vector<Sample> (*)();
  OpSamples(const char* op, Make make);

  const char* op;
  Make make;
  const OpSamples* next;

  /// The head of the list of all linked samples, in no particular order.
  static const OpSamples* first();
};

/// Reproducible sample values: uniform in [low, high), determined by (key, element), at least `margin` away
/// from 0.
Tensor sample_values(Shape shape, double low = -2, double high = 2, std::uint64_t key = 1, double margin = 0);

/// The usual points for an op of one input: matrix, rank 0, rank 1, a size-0 dimension, size-1 dimensions,
/// large and small magnitudes and a repeated input (f(x) ⊙ x); values in [low, high), at least `margin` away
/// from 0. `torch` is f(a) in PyTorch, or `none: REASON`.
std::vector<Sample> unary_samples(Var (*f)(const Var&), const std::string& torch, double low = -2,
                                  double high = 2, double margin = 0);
/// The usual points for an op of two inputs: equal shapes, both ways of broadcasting, size-1 and size-0
/// dimensions, rank 0, a repeated input f(x, x), large and small magnitudes. `torch` is f(a, b) in PyTorch.
/// `low` > 0 keeps both away from 0; `distinct` keeps a and b apart (for kinks at a = b).
std::vector<Sample> binary_samples(Var (*f)(const Var&, const Var&), const std::string& torch,
                                   double low = -2, double high = 2, bool distinct = false);

}  // namespace tapegrad
