#pragma once
#include <tapegrad/nn/layer.h>
#include <tests/parity/case.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tapegrad::test {

/// Draws the inputs of a layer case and stores them under the names of case.h.
class LayerInputs {
 public:
  LayerInputs(Tape& tape, std::uint64_t seed, Tensors& tensors)
      : tape_(tape), seed_(seed), tensors_(tensors) {}

  Tape& tape() { return tape_; }
  const std::vector<Var>& values() const { return values_; }
  /// The next of `in.0`, `in.1`, …: a, b, … in the case's expression.
  Var value(const Shape& shape);
  /// `const.NAME`, i64 in [first, end).
  Tensor ids(const std::string& name, const Shape& shape, Index first, Index end);
  /// `const.NAME`, boolean; in every row of the last axis at least one element is true.
  Tensor flags(const std::string& name, const Shape& shape);
  /// `const.NAME`, given.
  Tensor constant(const std::string& name, const Tensor& value);

 private:
  Tape& tape_;
  std::uint64_t seed_;
  Tensors& tensors_;
  std::vector<Var> values_;
};

/// A layer that PyTorch has too, or that torch_layers.py writes down.
struct LayerCase {
  using Call = std::function<VarList(LayerInputs&)>;

  std::string name;    ///< the layer's class, or `CLASS: what is special`
  std::string module;  ///< Python that makes the counterpart
  std::string torch;   ///< Python that calls it, `m(a)`
  /// Builds the layer and returns a function that runs it.
  std::function<Call(const Scope&)> build;
};

/// `make(scope)` gives the layer, `call(layer, inputs)` its result, a Var or a VarList. The rules of
/// check_layers.py read these calls: the name begins with L, and options are written out as
/// `LinearOptions{.bias = false}`.
template <class L, class Make, class Call>
LayerCase layer_case(std::string name, std::string module, std::string torch, Make make, Call call) {
  static_assert(std::is_same_v<std::invoke_result_t<Make, const Scope&>, L>);
  return {std::move(name), std::move(module), std::move(torch), [=](const Scope& scope) -> LayerCase::Call {
            const auto layer = std::make_shared<L>(make(scope));
            return [=](LayerInputs& in) -> VarList {
              if constexpr (std::is_same_v<decltype(call(*layer, in)), Var>)
                return VarList{call(*layer, in)};
              else
                return call(*layer, in);
            };
          }};
}

/// Adds the cases of one file to the family "layers": `const LayerCases norms([] { return
/// std::vector<LayerCase>{…}; });`.
class LayerCases {
 public:
  using Make = std::vector<LayerCase> (*)();
  explicit LayerCases(Make make);

  Make make;
  const LayerCases* next;
};

/// Those of all files, by name.
std::vector<LayerCase> all_layer_cases();

}  // namespace tapegrad::test
