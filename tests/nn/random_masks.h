// Random masks of every kind and combination, from a seed, and the properties of attention under them.
#pragma once
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/gradients.h>
#include <tapegrad/autograd/ops/attention/mask.h>
#include <tapegrad/autograd/parameter.h>

#include <functional>
#include <string>
#include <vector>

namespace tapegrad::test {

/// Random numbers that follow from a seed.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : key_(random_key(seed, 0, 0, 0)) {}

  double unit() { return uniform01(key_, next_++); }
  bool chance(double probability) { return unit() < probability; }
  /// Both ends are possible.
  Index between(Index low, Index high) {
    return low + static_cast<Index>(unit() * static_cast<double>(high - low + 1));
  }

 private:
  RandomKey key_;
  std::uint64_t next_ = 0;
};

/// Extents of an attention and a mask for it: of any kind, alone or with others, often with rows of which
/// nothing is left.
struct MaskedCase {
  explicit MaskedCase(std::uint64_t seed);
  MaskedCase(std::uint64_t seed, Index batch_size, Index head_count, Index queries, Index keys);

  Index batch, heads, query, key;
  Mask mask;
  Tensor allowed;  ///< [batch, heads, query, key]

  /// Rows of scores, [batch, heads, query]; a dead one has no keys.
  Index rows() const { return batch * heads * query; }
  bool takes_part(Index row, Index k) const { return allowed.data<std::uint8_t>()[row * key + k] != 0; }
  bool dead(Index row) const;
  /// Columns are keys, [batch, heads, key]; no query sees an unseen one.
  Index columns() const { return batch * heads * key; }
  bool unseen(Index column) const;

 private:
  MaskedCase(std::uint64_t seed, Draws extents);
};

/// An operand of attention: [batch, heads, time, width], or [batch, time, heads · width].
struct Operand {
  Index batch, heads, time, width;
  bool packed;

  Shape shape() const {
    return packed ? Shape{batch, time, heads * width} : Shape{batch, heads, time, width};
  }
  /// First element of row [batch, heads, time]; its `width` elements lie side by side.
  Index begin(Index row) const {
    const Index t = row % time, h = row / time % heads, b = row / time / heads;
    return packed ? ((b * time + t) * heads + h) * width : row * width;
  }
};

/// The allowed differences of values and gradients between routes.
inline double agreement(DType dtype) { return dtype == DType::f64 ? 1e-12 : 1e-6; }

/// One of several equivalent ways to compute attention.
struct Route {
  const char* name;
  bool fused, training, record, create_graph;
};
inline constexpr Route routes[] = {
    {"fused", true, false, true, false},
    {"definitions", false, false, true, false},
    {"fused, training", true, true, true, false},
    {"definitions, training", false, true, true, false},
    {"fused, not recording", true, false, false, false},
    {"definitions, not recording", false, false, false, false},
    {"fused, create_graph", true, false, true, true},
    {"definitions, create_graph", false, false, true, true},
};

/// Results, their gradients by every input under given cotangents, and by create_graph the gradients of the
/// sum of the squares of those. A gradient that did not arrive is zeros.
struct Outcome {
  std::vector<Tensor> values, gradients, second;
};

using Inputs = std::vector<Tensor>;
using Call = std::function<VarList(const std::vector<Var>&)>;

/// `call` on `inputs`, converted to `dtype`. `cotangents` are one for each result.
/// The gradients of `params` follow those of the inputs.
Outcome run(const Route& route, DType dtype, const Call& call, const Inputs& inputs, const Inputs& cotangents,
            const ParameterStore* params = nullptr);

/// Largest |difference| over all tensors, over the largest entry of all (which counts as 1e-3 at least).
double difference_of(const std::vector<Tensor>& a, const std::vector<Tensor>& b);
/// 0 and −0 are equal.
bool equal_numbers(const std::vector<Tensor>& a, const std::vector<Tensor>& b);
bool all_finite(const std::vector<Tensor>& tensors);
bool all_finite(const Outcome& outcome);

/// Runs every route (with `training_only`, those that train) and checks that all agree with the first in
/// value, bits of fused values, gradients (1e-12 in f64, 1e-6 in f32) and second derivatives
/// (`second_limit`); `also` checks every outcome. Returns the first outcome, with second derivatives.
Outcome check_routes(DType dtype, double second_limit, bool training_only,
                     const std::function<Outcome(const Route&)>& run,
                     const std::function<void(const Route&, const Outcome&)>& also);

/// `count` elements from `begin` on are exactly 0.
bool zeros(const Tensor& x, Index begin, Index count);
/// Other numbers in `count` elements from `begin` on.
void scramble(Tensor& x, Index begin, Index count);

/// Calls body(seed) for seeds 0 … count − 1. What fails or throws names the seed; after three such seeds the
/// rest is left out.
void for_seeds(std::uint64_t count, const std::function<void(std::uint64_t)>& body);

}  // namespace tapegrad::test
