/// Points at which ops are checked: the values that gradcheck and the tests run an op on. A program that
/// writes an op of its own registers its samples here and walks over them.
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
  /// An expression of the result for an outside reference, over the inputs a, b, c, … and the constants by
  /// name. Nothing in the library reads it.
  std::string reference = {};
  /// Indices and masks that the call captures and the reference names.
  std::vector<std::pair<std::string, Tensor>> constants = {};
  /// The tape is in training mode, so that dropout draws its mask.
  bool training = false;
  /// The gradients are compared with finite differences. False where the sample has too many elements for
  /// that, or where the op withholds a gradient that exists (a padding row).
  bool differences = true;
};

/// Registers the samples of the op with this name: `const OpSamples matmul_samples("matmul", [] { return
/// std::vector<Sample>{…}; });`. Samples of the library's ops are part of its tests.
class OpSamples {
 public:
  using Make = std::vector<Sample> (*)();
  OpSamples(const char* op, Make make);

  const char* op;
  Make make;
  const OpSamples* next;

  /// The head of the list of all registered samples, in no particular order.
  static const OpSamples* first();
};

/// Reproducible values for samples: uniform in [low, high), drawn from `key` and the element's index, and at
/// least `margin` away from 0.
Tensor sample_values(Shape shape, double low = -2, double high = 2, std::uint64_t key = 1, double margin = 0);

/// The usual points for an op of one input: matrix, rank 0, rank 1, a size-0 dimension, size-1 dimensions,
/// large and small magnitudes and a repeated input (f(x) ⊙ x); values in [low, high), at least `margin` away
/// from 0. `reference` is f(a); one that begins with `none: ` stays as it is.
std::vector<Sample> unary_samples(Var (*f)(const Var&), const std::string& reference = {}, double low = -2,
                                  double high = 2, double margin = 0);
/// The usual points for an op of two inputs: equal shapes, both ways of broadcasting, size-1 and size-0
/// dimensions, rank 0, a repeated input f(x, x), large and small magnitudes. `reference` is f(a, b). `low` >
/// 0 keeps both away from 0; `distinct` keeps a and b apart (for kinks at a = b).
std::vector<Sample> binary_samples(Var (*f)(const Var&, const Var&), const std::string& reference = {},
                                   double low = -2, double high = 2, bool distinct = false);

}  // namespace tapegrad
