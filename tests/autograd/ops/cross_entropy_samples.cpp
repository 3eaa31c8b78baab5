#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

/// PyTorch's classes lie on axis 1, ours on the last: both see [rows, vocab].
std::string torch_call(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  const char* names[] = {"mean", "sum", "none"};
  if (options.reduction == Reduction::mean && count_targets(targets, options.ignore_index) == 0)
    return "none: the mean of no losses is NaN in PyTorch, 0 here";
  const std::string call = fmt::format(
      "F.cross_entropy(a.reshape(-1, {}), targets.reshape(-1), ignore_index={}, label_smoothing={}, "
      "reduction='{}')",
      logits.shape().cols(), options.ignore_index, options.label_smoothing,
      names[static_cast<int>(options.reduction)]);
  return options.reduction == Reduction::none ? call + ".reshape(targets.shape)" : call;
}

const OpSamples cross_entropy_samples("cross_entropy", [] {
  std::vector<Sample> samples;
  const auto add = [&](const char* label, const Tensor& logits, const Tensor& targets,
                       const CrossEntropyOptions& options = {}) {
    samples.push_back({label,
                       {logits},
                       [=](const std::vector<Var>& in) { return cross_entropy(in[0], targets, options); },
                       torch_call(logits, targets, options),
                       {{"targets", targets}}});
  };
  const auto x = [](const Shape& shape, double scale = 1) {
    return sample_values(shape, -2 * scale, 2 * scale, 21);
  };
  const Tensor one_ignored = Tensor::ids({{1, -100, 4}, {0, 2, 4}}), all_ignored = Tensor::ids({7, 7});
  add("mean", x({2, 3, 5}), one_ignored);
  add("sum", x({2, 3, 5}), one_ignored, {.reduction = Reduction::sum});
  add("each", x({2, 3, 5}), one_ignored, {.reduction = Reduction::none});
  add("smoothed mean", x({2, 3, 5}), one_ignored, {.label_smoothing = 0.1});
  add("smoothed sum", x({2, 3, 5}), one_ignored, {.label_smoothing = 0.1, .reduction = Reduction::sum});
  add("smoothed each", x({2, 3, 5}), one_ignored, {.label_smoothing = 1, .reduction = Reduction::none});
  add("one row, no batch", x({6}), Tensor::ids({3}).reshaped({}), {.label_smoothing = 0.2});
  add("ignored class", x({4, 3}), Tensor::ids({0, 1, 2, 0}), {.ignore_index = 0});
  add("all ignored", x({2, 3}), all_ignored, {.ignore_index = 7});
  add("all ignored, each", x({2, 3}), all_ignored, {.ignore_index = 7, .reduction = Reduction::none});
  add("no rows", x({0, 3}), Tensor({0}, DType::i64));
  add("no rows, each", x({2, 0, 3}), Tensor({2, 0}, DType::i64), {.reduction = Reduction::none});
  add("one class", x({3, 1}), Tensor::ids({0, 0, 0}));
  add("longer than a vector register", x({2, 37}), Tensor::ids({36, 5}), {.label_smoothing = 0.1});
  add("large magnitude", x({3, 5}, 4), Tensor::ids({2, 0, 1}));
  add("small magnitude", x({3, 5}, 0.1), Tensor::ids({2, 0, 1}));
  const Tensor logits = x({2, 4}), targets = Tensor::ids({3, 1});
  samples.push_back({"repeated input",
                     {logits},
                     [=](const std::vector<Var>& in) { return sum(in[0] * cross_entropy(in[0], targets)); },
                     fmt::format("(a * {}).sum()", torch_call(logits, targets, {})),
                     {{"targets", targets}}});
  return samples;
});

}  // namespace
}  // namespace tapegrad
