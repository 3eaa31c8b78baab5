#include "add_norm.h"

#include "../../gradcheck/samples.h"
#include "../../kernels/norm.h"
#include "../arithmetic.h"
#include "../dropout.h"
#include "../norm.h"

namespace tapegrad {
namespace {

/// Inputs: x and f, then weight and bias where they are given.
struct AddLayerNorm final : Fused {
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
           "mean(g) - sh mean(g sh)) / sqrt(var(s) + eps), g = dy w, df = dx where f was kept";
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

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) { kernels::add_layer_norm(kernel_args<decltype(zero)>(in, out)); });
  }

  Range overwrites(std::size_t input, Views, Views) const override {
    return input < 2 ? everything : nothing;
  }

  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::add_layer_norm_backward<T>(
          kernel_args<T>(args.inputs, args.outputs),
          {args.doutputs[0].data<T>(), args.doutputs[1].data<T>(), args.dinputs[0].data<T>(),
           args.dinputs[1].data<T>(), args.fresh[0], args.fresh[1], given<T>(args.dinputs, weight),
           given<T>(args.dinputs, bias)});
    });
  }

  VarList define(std::span<const Var> in) const override {
    const Var sum = in[0] + (p > 0 ? dropout_with(in[1], p, key) : in[1]);
    Tape& tape = sum.tape();
    const Var normed = record_layer(tape, layer.path, [&] {
      const Var y = layer_norm(sum, weight > 0 ? in[weight] : Var(), bias > 0 ? in[bias] : Var(), eps);
      if (layer.path != nullptr) tape.observe(*layer.path, y);
      return y;
    });
    return {normed, sum};
  }

 private:
  template <class T, class AnyViews>
  static T* given(const AnyViews& views, std::size_t at) {
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
            given<T>(in, weight),
            given<T>(in, bias),
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
  expects(p >= 0 && p <= 1, "add_layer_norm: the probability must lie in [0, 1], got {}", p);
  return tape.attempt([&] {  // which gives the draw back when the shapes do not fit
    const bool drops = p > 0 && tape.training();
    const AddLayerNorm op(norm, drops ? p : 0, drops ? tape.next_draw() : RandomKey{});
    const VarList results = norm.weight && norm.bias ? apply_all(op, {x, f, norm.weight, norm.bias})
                            : norm.weight            ? apply_all(op, {x, f, norm.weight})
                            : norm.bias              ? apply_all(op, {x, f, norm.bias})
                                                     : apply_all(op, {x, f});
    return NormedSum{results[0], results[1]};
  });
}

namespace {

/// Both results count, unless `only` says which one.
struct Use {
  bool normed = true, sum = true;
};

Sample sample(const char* label, const Shape& shape, bool weight, bool bias, Use use = {}, double p = 0,
              double scale = 1) {
  const Index n = shape[-1];
  Sample result;
  result.label = label;
  result.inputs = {sample_values(shape, -2 * scale, 2 * scale, 21),
                   sample_values(shape, -2 * scale, 2 * scale, 22)};
  if (weight) result.inputs.push_back(sample_values({n}, 0.5, 2, 12));
  if (bias) result.inputs.push_back(sample_values({n}, -1, 1, 13));
  result.call = [=](const std::vector<Var>& in) {
    const NormedSum r =
        add_norm({weight ? in[2] : Var(), bias ? in[weight ? 3 : 2] : Var(), 1e-5}, in[0], in[1], p);
    return !use.sum ? r.normed : !use.normed ? r.sum : r.normed * 0.5 + r.sum * r.sum;
  };
  result.training = p > 0;
  const std::string normed =
      fmt::format("F.layer_norm(a + b, a.shape[-1:], {}, {}, 1e-5)", weight ? "c" : "None",
                  !bias    ? "None"
                  : weight ? "d"
                           : "c");
  result.torch = p > 0         ? "none: PyTorch draws other numbers; the draws of a given key are compared"
                 : !use.sum    ? normed
                 : !use.normed ? "a + b"
                               : normed + " * 0.5 + (a + b) ** 2";
  return result;
}

const OpSamples add_layer_norm_samples("add_layer_norm", [] {
  const Use both, normed{true, false}, sum{false, true};
  std::vector<Sample> samples = {
      sample("weight and bias", {3, 4}, true, true),
      sample("the normed result alone", {3, 4}, true, true, normed),
      sample("the sum alone", {3, 4}, true, true, sum),
      sample("rank 3", {2, 3, 5}, true, true),
      sample("rank 1", {6}, true, true),
      sample("no rows", {0, 4}, true, true),
      sample("size-1 rows", {1, 1, 7}, true, true),
      sample("longer than a vector register", {2, 19}, true, true),
      sample("plain", {3, 4}, false, false),
      sample("weight only", {3, 4}, true, false),
      sample("bias only", {3, 4}, false, true),
      sample("dropout", {3, 19}, true, true, both, 0.4),
      sample("dropout, the normed result alone", {3, 8}, true, true, normed, 0.4),
      sample("large magnitude", {2, 6}, true, true, normed, 0, 25),
      sample("small magnitude", {2, 6}, true, true, both, 0, 0.125),
  };
  samples.push_back({"repeated input",
                     {sample_values({4}, -2, 2, 11)},
                     [](const std::vector<Var>& in) {
                       return add_norm({in[0], in[0]}, in[0], in[0]).normed;
                     },
                     "F.layer_norm(a + a, a.shape[-1:], a, a, 1e-5)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
