// Two runs of one computation that should agree and do not: finds the first value that differs, and the op
// that loses the digits.
#include <tapegrad/autograd/inspect.h>
#include <tapegrad/autograd/ops.h>

#include <functional>

using namespace tapegrad;

namespace {

const Tensor x = Tensor::of({1000.1, 1000.2, 1000.4});

/// mean(x²) - mean(x)²: the difference of two large numbers that are nearly equal.
Var variance_by_squares(const Var& v) { return mean(square(v)) - square(mean(v)); }
/// mean((x - mean(x))²): small numbers from the beginning.
Var variance_by_distances(const Var& v) { return mean(square(v - mean(v))); }

/// Records the function on a tape of its own, in the given dtype.
TapeRecord run(const std::function<Var(const Var&)>& variance, DType dtype) {
  Tape tape({.dtype = dtype});
  return record(variance(tape.variable(x.to(dtype))));
}

void show(const char* title, const std::function<Var(const Var&)>& variance) {
  fmt::print("{}\n\n", title);
  fmt::print("f32 against f64, to 6 digits: {}\n\n",
             to_text(diff(run(variance, DType::f32), run(variance, DType::f64), 1e-6)));
  // Prints each value beside its f64 value for equal x. `own` is the rounding of the op itself; a large
  // `growth` marks an op that magnifies the rounding of those before it.
  Tape tape;
  const Var loss = variance(tape.variable(x));
  fmt::print("{}\n", to_text(precision_report(loss, tape.backward(loss)), 4));
}

}  // namespace

int main() {
  show("variance as mean(x²) - mean(x)²", variance_by_squares);
  show("variance as mean((x - mean(x))²)", variance_by_distances);
}
