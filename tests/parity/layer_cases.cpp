// The family "layers": runs each LayerCase with parameters away from their first values.
#include <tapegrad/autograd/ops.h>

#include <tests/parity/layer_case.h>
#include <algorithm>
#include <cmath>

namespace tapegrad::test {
using namespace nn;
namespace {

const LayerCases*& head() {
  static const LayerCases* list = nullptr;
  return list;
}

/// Ones of a norm and zeros of a bias would hide mistakes.
void perturb(const ParameterStore& params, std::uint64_t seed, Tensors& tensors) {
  for (const Parameter& p : params) {
    if (!p.is_buffer()) {
      Tensor value = as_f32_values(p.value());
      value.array<double>() += drawn(seed, p.path(), p.shape(), -0.4, 0.4).array<double>();
      p.assign(as_f32_values(value));
    }
    tensors["param." + p.path()] = p.value().clone();
  }
}

Tensors run(const LayerCase& layer, const Way& way, std::uint64_t seed) {
  Tensors tensors;
  ParameterStore params(1, way.dtype);
  const LayerCase::Call call = layer.build(params.root());
  perturb(params, seed, tensors);

  Tape tape(way.tape());
  LayerInputs inputs(tape, seed, tensors);
  const VarList outputs = call(inputs);
  Var loss;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string name = fmt::format("dout.{}", i);
    const Tensor dout = drawn(seed, name, outputs[i].shape(), -1, 1).to(way.dtype);
    tensors[name] = dout;
    tensors[fmt::format("out.{}", i)] = outputs[i].value().clone();
    const Var part = sum(outputs[i] * tape.constant(dout));
    loss = loss ? loss + part : part;
  }
  const Gradients g = tape.backward(loss, {.create_graph = way.create_graph});
  const auto gradient = [&](const auto& x, const Shape& shape) {
    return g.contains(x) ? g[x].clone() : Tensor(shape, way.dtype);  // PyTorch's None
  };
  for (std::size_t i = 0; i < inputs.values().size(); ++i)
    tensors[fmt::format("grad.in.{}", i)] = gradient(inputs.values()[i], inputs.values()[i].shape());
  for (const Parameter& p : params)
    if (!p.is_buffer()) tensors["grad.param." + p.path()] = gradient(p, p.shape());
  return tensors;
}

const CaseFamily layers("layers", [] {
  std::vector<ParityCase> cases;
  for (const LayerCase& layer : all_layer_cases())
    cases.push_back({layer.name, layer.torch, layer.module,
                     [layer](const Way& way, std::uint64_t seed) { return run(layer, way, seed); }});
  return cases;
});

}  // namespace

Var LayerInputs::value(const Shape& shape) {
  const std::string name = fmt::format("in.{}", values_.size());
  const Tensor x = drawn(seed_, name, shape, -1.5, 1.5).to(tape_.dtype());
  tensors_[name] = x;
  values_.push_back(tape_.variable(x));
  return values_.back();
}

Tensor LayerInputs::ids(const std::string& name, const Shape& shape, Index first, Index end) {
  const Tensor x = drawn(seed_, name, shape, static_cast<double>(first), static_cast<double>(end));
  Tensor result(shape, DType::i64);
  for (Index i = 0; i < shape.size(); ++i)
    result.data<Index>()[i] = std::min(end - 1, static_cast<Index>(std::floor(x.data<double>()[i])));
  return constant(name, result);
}

Tensor LayerInputs::flags(const std::string& name, const Shape& shape) {
  const Tensor x = drawn(seed_, name, shape, -1, 1);
  Tensor result(shape, DType::boolean);
  const Index width = shape.cols();
  for (Index i = 0; i < shape.size(); ++i) {
    const bool kept = x.data<double>()[i] > 0 || i % width == i / width % width;
    result.data<std::uint8_t>()[i] = kept ? 1 : 0;
  }
  return constant(name, result);
}

Tensor LayerInputs::constant(const std::string& name, const Tensor& value) {
  tensors_["const." + name] = value;
  return value;
}

LayerCases::LayerCases(Make function) : make(function), next(head()) { head() = this; }

std::vector<LayerCase> all_layer_cases() {
  std::vector<LayerCase> all;
  for (const LayerCases* file = head(); file != nullptr; file = file->next)
    for (LayerCase& layer : file->make()) all.push_back(std::move(layer));
  std::sort(all.begin(), all.end(), [](const LayerCase& a, const LayerCase& b) { return a.name < b.name; });
  return all;
}

}  // namespace tapegrad::test
