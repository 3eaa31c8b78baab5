#include "add_norm.h"

#include "../../kernels/norm.h"
#include "../arithmetic.h"
#include "../dropout.h"
#include "../norm.h"
#include "../typed.h"

namespace tapegrad {
namespace {

/// Inputs: x and f, then weight and bias where they are given.
struct AddLayerNorm final : Typed<AddLayerNorm, Fused> {
  static constexpr bool composite = true;
  double eps, p;  // p = 0: no draw was taken
  RandomKey key;
  std::size_t weight, bias;  // position among the inputs, 0 where left out
  Part layer;                // the norm, whose result is the first of this op
  AddLayerNorm(const NormPart& norm, double rate, RandomKey draw)
      : eps(norm.eps),
        p(rate),
        key(draw),
        weight(norm.weight ? 2 : 0),
        bias(!norm.bias    ? 0
             : norm.weight ? 3
                           : 2),
        layer{norm.path, 0} {}
  const char* name() const override { return "add_layer_norm"; }
  Formula formula() const override {
    return "y = sh w + b, sh = (s - mean(s)) / sqrt(var(s) + eps), s = x + dropout(f);  dx = ds + (g - "
           "mean(g) - sh mean(g sh)) / sqrt(var(s) + eps), g = dy w, df = dx [u >= p] / (1 - p)";
  }
  void attributes(Attributes& a) const override { put(a, "eps", eps), put(a, "p", p); }
  std::span<const Part> parts() const override { return {&layer, layer.path != nullptr ? 1U : 0U}; }
  int outputs() const override { return 2; }  // y and s
  int saved() const override { return 2; }    // mean and 1 / deviation of each row

  Shape shape(Views in, int output) const override {
    const Shape &x = in[0].shape, &f = in[1].shape;
    expects(x == f, "add_layer_norm: x {} and f {} must have the same shape", x, f);
    expects(x.rank() >= 1 && x.cols() > 0,
            "add_layer_norm: x of shape {} has no elements along a last axis to normalise", x);
    expects(eps >= 0, "add_layer_norm: eps must not be negative, got {}", eps);
    check(in, weight, "weight");
    check(in, bias, "bias");
    return output < 2 ? x : Shape{x.rows()};
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    kernels::add_layer_norm(kernel_args<T>(in.views, out.views));
  }

  Range writable_range(std::size_t input, Views, Views) const override {
    return input < 2 ? everything : nothing;
  }

  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    kernels::add_layer_norm_backward<T>(
        kernel_args<T>(g.args.inputs, g.args.outputs),
        {g.dy(), g.dy(1), g.dx(), g.dx(1), g.uninitialized(), g.uninitialized(1),
         data_or_null<T>(g.args.dinputs, weight), data_or_null<T>(g.args.dinputs, bias)});
  }

  VarList define(std::span<const Var> in) const override {
    const Var sum = in[0] + (p > 0 ? dropout_with(in[1], p, key) : in[1]);
    const Var normed = record_part(sum.tape(), layer.path, [&] {
      return layer_norm(sum, weight > 0 ? in[weight] : Var(), bias > 0 ? in[bias] : Var(), eps);
    });
    return {normed, sum};
  }

 private:
  template <class T, class AnyViews>
  static T* data_or_null(const AnyViews& views, std::size_t at) {
    return at > 0 ? views[at].template data<T>() : nullptr;
  }

  template <class T>
  kernels::AddLayerNormArgs<T> kernel_args(Views in, Views out) const {
    const Shape& x = in[0].shape;
    return {x.rows(),
            x.cols(),
            in[0].data<T>(),
            in[1].data<T>(),
            p,
            key,
            data_or_null<T>(in, weight),
            data_or_null<T>(in, bias),
            static_cast<T>(eps),
            out[1].data<T>(),
            out[0].data<T>(),
            out[2].data<T>(),
            out[3].data<T>()};
  }

  static void check(Views in, std::size_t at, const char* what) {
    if (at == 0) return;
    const Index n = in[0].shape.cols();
    expects(in[at].shape == Shape{n},
            "add_layer_norm: {} of shape {} does not fit the last axis of x {}; it must be [{}]", what,
            in[at].shape, in[0].shape, n);
  }
};

}  // namespace

NormedSum add_norm(const NormPart& norm, const Var& x, const Var& f, double p) {
  Tape& tape = x.tape("add_layer_norm");
  expects(p >= 0 && p <= 1, "add_layer_norm: the probability must be in [0, 1], got {}", p);
  return tape.with_rollback([&] {  // which gives the draw back when the shapes do not fit
    const bool drops = p > 0 && tape.training();
    const AddLayerNorm op(norm, drops ? p : 0, drops ? tape.next_draw() : RandomKey{});
    const VarList results = norm.weight && norm.bias ? apply_all(op, {x, f, norm.weight, norm.bias})
                            : norm.weight            ? apply_all(op, {x, f, norm.weight})
                            : norm.bias              ? apply_all(op, {x, f, norm.bias})
                                                     : apply_all(op, {x, f});
    return NormedSum{results[0], results[1]};
  });
}

}  // namespace tapegrad
