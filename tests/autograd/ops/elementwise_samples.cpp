#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

const OpSamples exp_samples("exp", [] { return unary_samples(exp, "torch.exp(a)"); });
const OpSamples log_samples("log", [] { return unary_samples(log, "torch.log(a)", 0.5, 3); });
const OpSamples log1p_samples("log1p", [] { return unary_samples(log1p, "torch.log1p(a)", -0.25, 3); });
const OpSamples expm1_samples("expm1", [] { return unary_samples(expm1, "torch.expm1(a)"); });
const OpSamples sqrt_samples("sqrt", [] { return unary_samples(sqrt, "torch.sqrt(a)", 0.5, 3); });
const OpSamples rsqrt_samples("rsqrt", [] { return unary_samples(rsqrt, "torch.rsqrt(a)", 0.5, 3); });
const OpSamples square_samples("square", [] { return unary_samples(square, "torch.square(a)"); });
const OpSamples reciprocal_samples("reciprocal",
                                   [] { return unary_samples(reciprocal, "torch.reciprocal(a)", 0.5, 3); });
const OpSamples abs_samples("abs", [] {
  std::vector<Sample> samples = unary_samples(abs, "torch.abs(a)", -2, 2, 0.2);
  samples.push_back({"kink taken out",
                     {Tensor::of({-1.5, 0, 0.5}, DType::f64)},
                     [](const std::vector<Var>& in) { return abs(in[0]) - maximum(in[0], -in[0]); },
                     "torch.abs(a) - torch.maximum(a, -a)"});
  return samples;
});
const OpSamples sin_samples("sin", [] { return unary_samples(sin, "torch.sin(a)"); });
const OpSamples cos_samples("cos", [] { return unary_samples(cos, "torch.cos(a)"); });
const OpSamples normal_cdf_samples("normal_cdf",
                                   [] { return unary_samples(normal_cdf, "torch.special.ndtr(a)"); });
const OpSamples pow_samples("pow", [] {
  std::vector<Sample> samples = unary_samples([](const Var& x) { return pow(x, 2.5); }, "a ** 2.5", 0.5, 3);
  for (const double exponent : {-1.0, 0.0, 1.0, 3.0})
    samples.push_back({fmt::format("exponent {}", exponent),
                       {sample_values({2, 3}, -2, 2, 31, 0.3)},
                       [exponent](const std::vector<Var>& in) { return pow(in[0], exponent); },
                       fmt::format("a ** {:.1f}", exponent)});
  samples.push_back({"exponent 0 at 0",
                     {Tensor::of({-2, 0, 1.5}, DType::f64)},
                     [](const std::vector<Var>& in) { return pow(in[0], 0) * in[0]; },
                     "a ** 0.0 * a"});
  return samples;
});
const OpSamples clamp_samples("clamp", [] {
  const auto shifted = [](const Var& x) { return clamp(x, 0, 100); };  // x keeps away from 0
  std::vector<Sample> samples = unary_samples(shifted, "torch.clamp(a, 0, 100)", -2, 2, 0.2);
  const auto both = [](const std::vector<Var>& in) { return clamp(in[0], -0.5, 1); };
  samples.push_back({"both bounds",
                     {Tensor::of({{-2, -0.4, 0.3}, {0.9, 1.1, 40}}, DType::f64)},
                     both,
                     "torch.clamp(a, -0.5, 1)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
