/// Ops over elements of one type: a base that chooses between f32 and f64, and hands pointers of that type.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// The inputs of a forward: `in[i]` is the first element of input i.
template <class T>
struct Inputs {
  Views views;
  const T* operator[](std::size_t i) const { return views[i].template data<T>(); }
  const Shape& shape(std::size_t i = 0) const { return views[i].shape; }
  Index size(std::size_t i = 0) const { return views[i].size(); }
  auto array(std::size_t i = 0) const { return views[i].template array<T>(); }
};

/// The outputs of a forward: `out[k]` is the first element of result k.
template <class T>
struct Outputs {
  Views views;
  T* operator[](std::size_t k) const { return views[k].template data<T>(); }
  const Shape& shape(std::size_t k = 0) const { return views[k].shape; }
  Index size(std::size_t k = 0) const { return views[k].size(); }
  auto array(std::size_t k = 0) const { return views[k].template array<T>(); }
};

/// The arrays of a raw backward, see BackwardArgs: `dx(i)` is null where input i needs no gradient,
/// `dy(k)` where no cotangent arrived.
template <class T>
struct RawBackward {
  const BackwardArgs& args;
  const T* x(std::size_t i = 0) const { return args.inputs[i].template data<T>(); }
  const T* y(std::size_t k = 0) const { return args.outputs[k].template data<T>(); }
  const T* dy(std::size_t k = 0) const { return args.doutputs[k].template data<T>(); }
  T* dx(std::size_t i = 0) const { return args.dinputs[i].template data<T>(); }
  auto dy_array(std::size_t k = 0) const { return args.doutputs[k].template array<T>(); }
  auto dx_array(std::size_t i = 0) const { return args.dinputs[i].template array<T>(); }
  bool uninitialized(std::size_t i = 0) const { return args.uninitialized[i]; }
  const Shape& x_shape(std::size_t i = 0) const { return args.inputs[i].shape; }
  const Shape& y_shape(std::size_t k = 0) const { return args.outputs[k].shape; }
  Index size() const { return args.outputs[0].size(); }
};

/// Base class of ops over elements of one type: `struct Detach final : Typed<Detach>`, `struct Linear final :
/// Typed<Linear, Fused>`. O has
/// `template <class T> void kernel(Inputs<T> in, Outputs<T> out) const` and, where it has a raw backward,
/// `template <class T> void backward_kernel(RawBackward<T> g) const`.
template <class O, class Kind = Primitive>
class Typed : public Kind {
 public:
  void forward(Views in, Views out) const final {
    dispatch(out[0].dtype, [&]<class T>(T) { self().kernel(Inputs<T>{in}, Outputs<T>{out}); });
  }
  bool has_backward() const final {
    return requires(const O& op, RawBackward<float> g) { op.backward_kernel(g); };
  }
  void backward(const BackwardArgs& args) const override {
    if constexpr (requires(const O& op, RawBackward<float> g) { op.backward_kernel(g); })
      dispatch(args.outputs[0].dtype, [&]<class T>(T) { self().backward_kernel(RawBackward<T>{args}); });
  }

 protected:
  ~Typed() = default;

 private:
  const O& self() const { return static_cast<const O&>(*this); }
};

}  // namespace tapegrad
