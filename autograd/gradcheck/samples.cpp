#include "samples.h"

#include <cmath>

#include "../ops/arithmetic.h"

namespace tapegrad {
namespace {

const OpSamples*& head() {
  static const OpSamples* first = nullptr;
  return first;
}

/// `form` with `reference` in place of {}; a reason for having none stays as it is.
std::string derived(std::string_view form, const std::string& reference) {
  if (reference.empty() || reference.starts_with("none: ")) return reference;
  return fmt::format(fmt::runtime(form), reference);
}

}  // namespace

OpSamples::OpSamples(const char* name, Make maker) : op(name), make(maker), next(head()) { head() = this; }

const OpSamples* OpSamples::first() { return head(); }

Tensor sample_values(Shape shape, double low, double high, std::uint64_t key, double margin) {
  Tensor values(shape, DType::f64);
  for (Index i = 0; i < values.size(); ++i) {
    double v = low + (high - low) * uniform01(random_key(key, 0, 0, 0), static_cast<std::uint64_t>(i));
    if (std::abs(v) < margin) v = v < 0 ? v - margin : v + margin;
    values.data<double>()[i] = v;
  }
  return values;
}

std::vector<Sample> unary_samples(Var (*f)(const Var&), const std::string& reference, double low, double high,
                                  double margin) {
  const auto call = [f](const std::vector<Var>& in) { return f(in[0]); };
  const auto values = [=](Shape shape, double scale = 1) {
    return sample_values(shape, scale * low, scale * high, static_cast<std::uint64_t>(shape.size() + 3),
                         scale * margin);
  };
  return {
      {"matrix", {values({3, 4})}, call, reference},
      {"rank 0", {values({})}, call, reference},
      {"rank 1", {values({5})}, call, reference},
      {"size-0 dimension", {values({2, 0, 3})}, call, reference},
      {"size-1 dimensions", {values({1, 3, 1})}, call, reference},
      {"small magnitude", {values({2, 3}, 0.1)}, call, reference},
      {"large magnitude", {values({2, 3}, 3)}, call, reference},
      {"repeated input",
       {values({2, 2})},
       [f](const std::vector<Var>& in) { return mul(f(in[0]), in[0]); },
       derived("({}) * a", reference)},
  };
}

std::vector<Sample> binary_samples(Var (*f)(const Var&, const Var&), const std::string& reference, double low,
                                   double high, bool distinct) {
  const auto call = [f](const std::vector<Var>& in) { return f(in[0], in[1]); };
  const auto a = [=](Shape shape, double scale = 1) {
    return sample_values(shape, scale * low, scale * high, 5);
  };
  const auto b = [=](Shape shape, double scale = 1) {
    return distinct ? sample_values(shape, scale * high, scale * (2 * high - low), 6)
                    : sample_values(shape, scale * low, scale * high, 6);
  };
  std::vector<Sample> samples = {
      {"equal shapes", {a({3, 4}), b({3, 4})}, call, reference},
      {"row broadcast", {a({3, 4}), b({4})}, call, reference},
      {"column broadcast", {a({3, 1}), b({2, 3, 4})}, call, reference},
      {"both broadcast", {a({3, 1}), b({1, 4})}, call, reference},
      {"rank 0", {a({}), b({})}, call, reference},
      {"rank 0 against matrix", {a({}), b({2, 3})}, call, reference},
      {"size-0 dimension", {a({2, 0}), b({1, 0})}, call, reference},
      {"size-1 against size 0", {a({2, 1}), b({2, 0})}, call, reference},
      {"small magnitude", {a({2, 3}, 0.1), b({2, 3}, 0.1)}, call, reference},
      {"large magnitude", {a({2, 3}, 30), b({2, 3}, 30)}, call, reference},
  };
  if (distinct)
    samples.push_back({"repeated input",
                       {a({2, 3}), b({2, 3})},
                       [f](const std::vector<Var>& in) { return mul(f(in[0], in[1]), in[0]); },
                       derived("({}) * a", reference)});
  else
    samples.push_back({"repeated input",
                       {a({2, 3})},
                       [f](const std::vector<Var>& in) { return f(in[0], in[0]); },
                       derived("(lambda a, b: {})(a, a)", reference)});
  return samples;
}

}  // namespace tapegrad
