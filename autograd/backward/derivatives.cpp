#include "derivatives.h"

#include <cstring>

#include "../ops/arithmetic.h"

namespace tapegrad {
namespace {

/// Drops what is recorded during its life, and mutes gradient hooks.
class Aside {
 public:
  explicit Aside(Tape& tape) : tape_(tape), before_(tape.mark()), quiet_(tape.observers().mute_gradients()) {
    tape.rewind(before_);  // nothing to drop; throws where the destructor would, in a gradient hook
  }
  ~Aside() { tape_.rewind(before_); }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  Tape& tape_;
  const Tape::Mark before_;
  const Observers::Muted quiet_;
};

/// Returns the tape of y and x, which the errors call `of` and x.
Tape& checked(const char* op, const char* of, const Var& y, const Var& x) {
  Tape &tape = y.tape(op), &of_x = x.tape(op);
  expects(&tape == &of_x, "{}: x of shape {} was recorded on another tape than {} of shape {}", op, x.shape(),
          of, y.shape());
  expects(tape.options().record, "{}: this tape does not record (.record = false)", op);
  expects(x.needs_grad(),
          "{}: x of shape {} needs no gradient (a constant, or frozen); differentiate with respect to a "
          "variable, a trainable parameter or what is computed from one",
          op, x.shape());
  return tape;
}

void check_scalar(const char* op, const Var& loss) {
  expects(loss.size() == 1, "{}: the loss must have one element, got shape {}", op, loss.shape());
}

void check_direction(const char* op, const Var& x, const Tensor& v) {
  expects(static_cast<bool>(v), "{}: v is empty; it must be {} {}, as x is", op, dtype_name(x.dtype()),
          x.shape());
  expects(v.shape() == x.shape() && v.dtype() == x.dtype(), "{}: v is {} {}; it must be {} {}, as x is", op,
          dtype_name(v.dtype()), v.shape(), dtype_name(x.dtype()), x.shape());
}

/// J' u for the Jacobian J of y with respect to x; zeros where nothing arrives.
Tensor pulled_back(const Var& y, const Var& x, const Tensor& u) {
  if (y.needs_grad()) {
    const Gradients g = y.tape().backward(y, {.cotangent = u});
    if (g.contains(x)) return g[x].clone();
  }
  return Tensor(x.shape(), x.dtype());
}

/// dloss/dx as a recorded value; empty where there is none.
Var gradient_of(const Var& loss, const Var& x, const Tensor& cotangent = {}) {
  if (!loss.needs_grad()) return {};
  const Gradients g = loss.tape().backward(loss, {.create_graph = true, .cotangent = cotangent});
  return g.contains(x) ? g.var(x) : Var();
}

/// The rows of the Jacobian, one backward pass each, dropped once read.
Tensor rows_of(const Var& y, const Var& x) {
  Tensor result({y.size(), x.size()}, x.dtype());
  if (!y.needs_grad()) return result;
  Tape& tape = y.tape();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Tensor unit(y.shape(), y.dtype());
    for (Index i = 0; i < y.size(); ++i) {
      const Tape::Mark before = tape.mark();
      unit.data<T>()[i] = 1;
      const Gradients g = tape.backward(y, {.cotangent = unit});
      unit.data<T>()[i] = 0;
      if (!g.contains(x)) return;
      const Tensor row = g[x];
      std::memcpy(result.data<T>() + i * x.size(), row.view().bytes, row.view().byte_count());
      tape.rewind(before);
    }
  });
  return result;
}

}  // namespace

Tensor hvp(const Var& loss, const Var& x, const Tensor& v) {
  const Aside aside(checked("hvp", "the loss", loss, x));
  check_scalar("hvp", loss);
  check_direction("hvp", x, v);
  const Var g = gradient_of(loss, x);
  return g ? pulled_back(g, x, v) : Tensor(x.shape(), x.dtype());
}

Tensor jvp(const Var& y, const Var& x, const Tensor& v) {
  Tape& tape = checked("jvp", "y", y, x);
  const Aside aside(tape);
  check_direction("jvp", x, v);
  const Var u = tape.variable(Tensor::full(y.shape(), 1, y.dtype()));
  const Var g = gradient_of(y * u, x, u.value());
  return g ? pulled_back(g, u, v) : Tensor(y.shape(), y.dtype());
}

Tensor jacobian(const Var& y, const Var& x) {
  const Aside aside(checked("jacobian", "y", y, x));
  return rows_of(y, x);
}

Tensor hessian(const Var& loss, const Var& x) {
  const Aside aside(checked("hessian", "the loss", loss, x));
  check_scalar("hessian", loss);
  const Var g = gradient_of(loss, x);
  return g ? rows_of(g, x) : Tensor({x.size(), x.size()}, x.dtype());
}

Tensor hvp(const Var& loss, const Parameter& x, const Tensor& v) {
  const Aside aside(loss.tape("hvp"));
  return hvp(loss, loss.tape()[x], v);
}
Tensor jvp(const Var& y, const Parameter& x, const Tensor& v) {
  const Aside aside(y.tape("jvp"));
  return jvp(y, y.tape()[x], v);
}
Tensor jacobian(const Var& y, const Parameter& x) {
  const Aside aside(y.tape("jacobian"));
  return jacobian(y, y.tape()[x]);
}
Tensor hessian(const Var& loss, const Parameter& x) {
  const Aside aside(loss.tape("hessian"));
  return hessian(loss, loss.tape()[x]);
}

}  // namespace tapegrad
