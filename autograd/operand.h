/// The argument type of ops: a recorded value, or a Parameter that the tape records among its leaves by
/// itself.
#pragma once
#include "parameter.h"
#include "var.h"

namespace tapegrad {

/// An operand of an op for the length of a call: `linear(x, weight, bias)` and `x * weight` take Vars and
/// Parameters alike. At least one operand of a call is a Var, which tells the tape. A default operand, an
/// empty Var and an empty Parameter are empty operands, which optional arguments such as a bias may be.
class Operand {
 public:
  Operand() = default;
  Operand(const Var& x) : var_(&x) {}
  Operand(const Parameter& p) : parameter_(p ? &p : nullptr) {}

  explicit operator bool() const { return parameter_ != nullptr || (var_ != nullptr && *var_); }
  /// Null for a parameter; null or empty for an empty operand.
  const Var* var() const { return var_; }
  const Parameter* parameter() const { return parameter_; }
  const Shape& shape() const { return parameter_ != nullptr ? parameter_->shape() : var_->shape(); }

 private:
  const Var* var_ = nullptr;
  const Parameter* parameter_ = nullptr;
};

}  // namespace tapegrad
