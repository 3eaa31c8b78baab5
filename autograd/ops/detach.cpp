#include "detach.h"

#include <cstring>

#include "arithmetic.h"

namespace tapegrad {
namespace {

struct Detach final : Primitive {
  const char* name() const override { return "detach"; }
  Formula formula() const override { return "y = x;  dx = 0"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    std::memcpy(out[0].bytes, in[0].bytes, in[0].byte_count());
  }
  bool differentiable() const override { return false; }
  VarList pullback(const PullbackArgs&) const override { return {Var()}; }
};

}  // namespace

Var detach(const Var& x) { return apply(Detach{}, {x}); }

}  // namespace tapegrad
