#pragma once
#include <tapegrad/autograd/tape.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tapegrad::test {

/// Named tensors of a case. Inputs: `in.0`, `in.1`, … (arguments), `const.NAME` (indices, masks),
/// `param.PATH`, `dout.0`, … (cotangents of the outputs). Results: `out.0`, …, `grad.in.0`, …,
/// `grad.param.PATH`, and for optimizers `after.N.PATH`.
using Tensors = std::map<std::string, Tensor>;

/// One of the ways to compute a result.
struct Way {
  const char* name;
  DType dtype;
  bool fused;
  bool create_graph;

  TapeOptions tape() const { return {.dtype = dtype, .fused = fused}; }
  /// The error allowed.
  double limit() const { return dtype == DType::f64 ? 1e-12 : 2e-5; }
};
inline constexpr Way ways[] = {
    {"f64 fused", DType::f64, true, false},       {"f64 definitions", DType::f64, false, false},
    {"f64 create_graph", DType::f64, true, true}, {"f64 definitions, create_graph", DType::f64, false, true},
    {"f32 fused", DType::f32, true, false},       {"f32 definitions", DType::f32, false, false},
};

/// The seed of the golden files.
inline constexpr std::uint64_t golden_seed = 1;

/// Something that PyTorch computes too.
struct ParityCase {
  std::string name;  ///< unique in its family
  /// Python that gives the result (or a tuple of results) from a, b, c, … (`in.0`, `in.1`, `in.2`, …) and the
  /// constants by name, with torch, F, nn and math at hand; the module, if any, is `m`. `none: REASON` where
  /// PyTorch has nothing to compare with.
  std::string torch;
  std::string module = {};  ///< Python that makes the module; it loads all `param.` strictly
  /// Everything, in `way`, for inputs and parameters drawn from `seed`.
  std::function<Tensors(const Way& way, std::uint64_t seed)> run;
};

/// Registers the cases of a family from its own file: `const CaseFamily layers("layers", [] { return
/// std::vector<ParityCase>{…}; });`.
class CaseFamily {
 public:
  using Make = std::vector<ParityCase> (*)();
  CaseFamily(const char* name, Make make);

  const char* name;
  Make make;
  const CaseFamily* next;

  /// All that are linked in, in no particular order.
  static const CaseFamily* first();
};

/// Uniform values in [low, high) that f32 holds exactly, so that every way starts from equal numbers. They
/// depend on seed, `name` and shape alone.
Tensor drawn(std::uint64_t seed, std::string_view name, const Shape& shape, double low = -1, double high = 1);
/// The nearest values that f32 holds, as f64.
Tensor as_f32_values(const Tensor& x);
/// Indices and masks as they are, floating-point tensors in `dtype`.
Tensor in_dtype(const Tensor& x, DType dtype);

/// True for tensors that PyTorch computes, whose names begin with `out.`, `grad.` or `after.`.
bool is_result(std::string_view name);
/// The error of a case against its expected results (one flat tensor: results in order of their names,
/// row-major): for each of `out`, `grad` and `after`, the largest |difference| over the largest entry of all
/// tensors of that kind (at least 0.1: smaller values, of cotangents up to 1, are rounding in PyTorch too),
/// and of these the largest. Infinite for a NaN or an infinity that is not expected. Throws Error when the
/// number of values differs.
double error_of_case(const Tensors& actual, const Tensor& expected);

}  // namespace tapegrad::test
