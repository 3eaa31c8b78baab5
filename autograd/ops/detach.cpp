#include "detach.h"

#include <algorithm>

#include "typed.h"

namespace tapegrad {
namespace {

struct Detach final : Typed<Detach> {
  const char* name() const override { return "detach"; }
  Formula formula() const override { return "y = x;  dx = 0"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    std::copy_n(in[0], in.size(), out[0]);
  }
  bool differentiable() const override { return false; }
  VarList pullback(const PullbackArgs&) const override { return {Var()}; }
};

}  // namespace

Var detach(const Var& x) { return apply(Detach{}, {x}); }

}  // namespace tapegrad
