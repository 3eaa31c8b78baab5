#include "mse_loss.h"

#include "../gradcheck/samples.h"
#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "elementwise.h"
#include "reduce.h"

namespace tapegrad {
namespace {

struct MseLoss final : Fused {
  const char* name() const override { return "mse_loss"; }
  Formula formula() const override {
    return "loss = sum((a - b)^2) / n;  da = 2 / n dloss (a - b), db = -da";
  }
  Shape shape(Views in, int) const override {
    expects(in[0].shape == in[1].shape, "mse_loss: prediction {} and target {} differ in shape; {}",
            in[0].shape, in[1].shape,
            in[0].shape.size() == in[1].shape.size() ? "reshape one of them"
                                                     : "they are not broadcast, see broadcast_to");
    return {};
  }
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&]<class T>(T) {
      const Index n = in[0].size();
      Eigen::Array<T, Eigen::Dynamic, 1> error(n);
      for (Index i = 0; i < n; ++i) error[i] = in[0].data<T>()[i] - in[1].data<T>()[i];
      out[0].data<T>()[0] = kernels::sum_squares(static_cast<const T*>(error.data()), n) / static_cast<T>(n);
    });
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&]<class T>(T) {
      const T *a = args.inputs[0].data<T>(), *b = args.inputs[1].data<T>();
      const Index n = args.inputs[0].size();
      const T slope = 2 * args.doutputs[0].data<T>()[0] / static_cast<T>(n);
      T *da = args.dinputs[0].data<T>(), *db = args.dinputs[1].data<T>();
      for (Index i = 0; da != nullptr && i < n; ++i) da[i] += slope * (a[i] - b[i]);
      for (Index i = 0; db != nullptr && i < n; ++i) db[i] -= slope * (a[i] - b[i]);
    });
  }
  VarList define(std::span<const Var> in) const override { return {mean(square(in[0] - in[1]))}; }
};

}  // namespace

Var mse_loss(const Var& prediction, const Var& target) { return apply(MseLoss{}, {prediction, target}); }
Var mse_loss(const Var& prediction, const Tensor& target) {
  return mse_loss(prediction, detail::constant_on(prediction, target));
}

namespace {

const OpSamples mse_loss_samples("mse_loss", [] {
  const auto sample = [](const char* label, const Shape& shape, double scale = 1) {
    const auto values = [=](std::uint64_t key) { return sample_values(shape, -2 * scale, 2 * scale, key); };
    return Sample{label,
                  {values(61), values(62)},
                  [](const std::vector<Var>& in) { return mse_loss(in[0], in[1]); },
                  "F.mse_loss(a, b)"};
  };
  return std::vector<Sample>{sample("matrix", {3, 4}),
                             sample("rank 0", {}),
                             sample("rank 1", {5}),
                             sample("size-1 dimensions", {1, 3, 1}),
                             sample("longer than the 16 lanes", {2, 37}),
                             sample("small magnitude", {2, 3}, 0.1),
                             sample("large magnitude", {2, 3}, 30),
                             {"repeated input",
                              {sample_values({2, 3}, -2, 2, 63)},
                              [](const std::vector<Var>& in) { return mse_loss(in[0], square(in[0])); },
                              "F.mse_loss(a, a**2)"}};
});

}  // namespace
}  // namespace tapegrad
