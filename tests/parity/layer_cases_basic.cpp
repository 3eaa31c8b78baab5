// Cases of the layers without attention.
#include <tapegrad/autograd/ops/activation.h>
#include <tapegrad/nn/containers.h>
#include <tapegrad/nn/dropout.h>
#include <tapegrad/nn/embedding.h>
#include <tapegrad/nn/feed_forward.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/linear.h>
#include <tapegrad/nn/norm.h>
#include <tapegrad/nn/positional.h>

#include <tests/parity/layer_case.h>

namespace tapegrad::test {
using namespace nn;
namespace {

/// A function that runs a layer on one value of this shape.
auto on(const Shape& shape) {
  return [=](const auto& layer, LayerInputs& in) { return layer(in.value(shape)); };
}

Var look_up(const Embedding& table, LayerInputs& in) { return table(in.tape(), in.ids("ids", {2, 4}, 0, 5)); }

const LayerCases linear([] {
  return std::vector<LayerCase>{
      layer_case<Linear>(
          "Linear", "nn.Linear(4, 3)", "m(a)", [](const Scope& s) { return Linear(s, 4, 3); }, on({2, 3, 4})),
      layer_case<Linear>(
          "Linear: vector, no bias", "nn.Linear(4, 3, bias=False)", "m(a)",
          [](const Scope& s) { return Linear(s, 4, 3, LinearOptions{.bias = false}); }, on({4})),
      layer_case<Linear>(
          "Linear: first values of its own", "nn.Linear(5, 1)", "m(a)",
          [](const Scope& s) {
            return Linear(s, 5, 1,
                          LinearOptions{.weight_init = kaiming_normal(), .bias_init = constant(0.5)});
          },
          on({3, 5})),
      layer_case<Linear>(
          "Linear: tied", "TiedLinear(5, 4)", "m(a)",
          [](const Scope& s) {
            const Embedding table(s / "table", 5, 4);
            return Linear(s / "out", tied(table.weight));
          },
          on({2, 4}))};
});

const LayerCases embedding([] {
  return std::vector<LayerCase>{
      layer_case<Embedding>(
          "Embedding", "nn.Embedding(5, 3)", "m(ids)", [](const Scope& s) { return Embedding(s, 5, 3); },
          look_up),
      layer_case<Embedding>(
          "Embedding: padding", "nn.Embedding(5, 3, padding_idx=2)", "m(ids)",
          [](const Scope& s) {
            return Embedding(s, 5, 3, EmbeddingOptions{.padding_idx = 2, .init = normal(0, 0.5)});
          },
          look_up)};
});

const LayerCases norms([] {
  return std::vector<LayerCase>{
      layer_case<LayerNorm>(
          "LayerNorm", "nn.LayerNorm(5)", "m(a)", [](const Scope& s) { return LayerNorm(s, 5); },
          on({2, 3, 5})),
      layer_case<LayerNorm>(
          "LayerNorm: no bias, large eps", "nn.LayerNorm(4, eps=0.1, bias=False)", "m(a)",
          [](const Scope& s) { return LayerNorm(s, 4, LayerNormOptions{.eps = 0.1, .bias = false}); },
          on({3, 4})),
      layer_case<RMSNorm>(
          "RMSNorm", "nn.RMSNorm(5, eps=1e-6)", "m(a)", [](const Scope& s) { return RMSNorm(s, 5); },
          on({2, 3, 5})),
      layer_case<RMSNorm>(
          "RMSNorm: large eps", "nn.RMSNorm(4, eps=0.1)", "m(a)",
          [](const Scope& s) { return RMSNorm(s, 4, 0.1); }, on({3, 4}))};
});

const LayerCases dropout([] {
  return std::vector<LayerCase>{layer_case<Dropout>(
      "Dropout: not training", "nn.Dropout(0.4)", "m(a)", [](const Scope& s) { return Dropout(s, 0.4); },
      on({2, 3}))};
});

const LayerCases feed_forward([] {
  return std::vector<LayerCase>{
      layer_case<FeedForward>(
          "FeedForward", "FeedForward(4, 6, F.relu)", "m(a)",
          [](const Scope& s) { return FeedForward(s, 4, 6, Activation::relu, 0, true); }, on({2, 3, 4})),
      layer_case<FeedForward>(
          "FeedForward: gelu, no bias, dropout", "FeedForward(4, 6, F.gelu, bias=False)", "m(a)",
          [](const Scope& s) { return FeedForward(s, 4, 6, Activation::gelu, 0.3, false); }, on({2, 3, 4}))};
});

const LayerCases positions([] {
  return std::vector<LayerCase>{
      layer_case<SinusoidalPositions>(
          "SinusoidalPositions", "SinusoidalPositions()", "m(a)",
          [](const Scope& s) { return SinusoidalPositions(s, 9, 6); }, on({2, 7, 6})),
      layer_case<SinusoidalPositions>(
          "SinusoidalPositions: odd width", "SinusoidalPositions()", "m(a)",
          [](const Scope& s) { return SinusoidalPositions(s, 4, 5); }, on({4, 5})),
      layer_case<LearnedPositions>(
          "LearnedPositions", "LearnedPositions(5, 4)", "m(a)",
          [](const Scope& s) { return LearnedPositions(s, 5, 4); }, on({2, 3, 4})),
      layer_case<LearnedPositions>(
          "LearnedPositions: first values of its own", "LearnedPositions(3, 4)", "m(a)",
          [](const Scope& s) { return LearnedPositions(s, 3, 4, normal()); }, on({2, 3, 4}))};
});

const LayerCases containers([] {
  return std::vector<LayerCase>{
      layer_case<Sequential>(
          "Sequential", "nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.LayerNorm(5), nn.Linear(5, 2))", "m(a)",
          [](const Scope& s) {
            Sequential net(s);
            net.add<Linear>(4, 5).add([](const Var& x) { return relu(x); }).add<LayerNorm>(5);
            net.add<Linear>(5, 2);
            return net;
          },
          on({2, 3, 4})),
      layer_case<LayerList<Linear>>(
          "LayerList: of Linear", "nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])", "m[2](m[1](m[0](a)))",
          [](const Scope& s) {
            return LayerList<Linear>(s, 3, [](const Scope& place, Index) { return Linear(place, 4, 4); });
          },
          [](const LayerList<Linear>& list, LayerInputs& in) {
            Var x = in.value({3, 4});
            for (const Linear& layer : list) x = layer(x);
            return x;
          })};
});

}  // namespace
}  // namespace tapegrad::test
