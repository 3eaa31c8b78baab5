// Family "ops": every registered sample of every op, and the points of op_points.cpp. A new op's samples
// join by being linked in.
#include <tapegrad/autograd/gradcheck/samples.h>

#include <tests/parity/case.h>
#include <tests/parity/op_points.h>

namespace tapegrad::test {
namespace {

/// The sample's own inputs for the golden seed and for points (whose inputs must stay). Other seeds stretch
/// every element by a factor in [0.8, 1.2): signs and zeros stay, and values away from the edge of a
/// function's domain does.
std::vector<Tensor> inputs_of(const std::string& name, const Sample& sample, std::uint64_t seed) {
  std::vector<Tensor> inputs;
  for (const Tensor& x : sample.inputs) {
    Tensor values = x.to(DType::f64);
    if (seed != golden_seed)
      values.array<double>() *=
          drawn(seed, fmt::format("{} {}", name, inputs.size()), x.shape(), 0.8, 1.2).array<double>();
    inputs.push_back(as_f32_values(values));
  }
  return inputs;
}

Tensors run(const std::string& name, const Sample& sample, const Way& way, std::uint64_t seed, bool stretch) {
  TapeOptions options = way.tape();
  options.training = sample.training;
  Tape tape(options);
  Tensors found;
  std::vector<Var> vars;
  for (const Tensor& x : inputs_of(name, sample, stretch ? seed : golden_seed)) {
    found[fmt::format("in.{}", vars.size())] = x.to(way.dtype);
    vars.push_back(tape.variable(x.to(way.dtype)));
  }
  for (const auto& [constant, value] : sample.constants)
    found["const." + constant] = in_dtype(value, way.dtype);
  const Var y = sample.call(vars);
  const Tensor dy = drawn(seed, name + " dout", y.shape()).to(way.dtype);
  found["dout.0"] = dy;
  found["out.0"] = y.value().clone();
  for (std::size_t i = 0; i < vars.size(); ++i)
    found[fmt::format("grad.in.{}", i)] = Tensor(vars[i].shape(), way.dtype);
  if (!y.needs_grad()) return found;
  const Gradients g = tape.backward(y, {.create_graph = way.create_graph, .cotangent = dy});
  for (std::size_t i = 0; i < vars.size(); ++i)
    if (g.contains(vars[i])) found[fmt::format("grad.in.{}", i)] = g[vars[i]].clone();
  return found;
}

ParityCase case_of(const char* op, const Sample& sample, bool stretch) {
  // A label with a colon is a name: the golden values of the case were drawn by it.
  const bool named = sample.label.find(": ") != std::string::npos;
  const std::string name = named ? sample.label : fmt::format("{}: {}", op, sample.label);
  return {.name = name, .torch = sample.reference, .run = [=](const Way& way, std::uint64_t seed) {
            return run(name, sample, way, seed, stretch);
          }};
}

const CaseFamily ops("ops", [] {
  std::vector<ParityCase> cases;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next)
    for (const Sample& sample : op->make()) cases.push_back(case_of(op->op, sample, true));
  for (const OpPoint& point : op_points()) cases.push_back(case_of(point.op, point.sample, false));
  return cases;
});

}  // namespace
}  // namespace tapegrad::test
