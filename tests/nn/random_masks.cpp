#include "random_masks.h"

#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/elementwise.h>
#include <tapegrad/autograd/ops/reduce.h>

#include <algorithm>
#include <boost/test/results_collector.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

namespace tapegrad::test {
namespace {

/// Boolean, true with a random density; some stretches along the last axis are all false.
Tensor random_keep(Draws& draws, const Shape& shape) {
  Tensor keep(shape, DType::boolean);
  const double density = draws.unit(), dead = draws.chance(0.5) ? 0.3 : 0;
  auto* k = keep.data<std::uint8_t>();
  for (Index row = 0; row < shape.rows(); ++row) {
    const bool none = draws.chance(dead);
    for (Index i = 0; i < shape.cols(); ++i) *k++ = !none && draws.chance(density);
  }
  return keep;
}

Tensor random_lengths(Draws& draws, Index batch, Index key) {
  Tensor lengths({batch}, DType::i64);
  for (Index b = 0; b < batch; ++b) lengths.data<Index>()[b] = draws.chance(0.2) ? 0 : draws.between(0, key);
  return lengths;
}

/// Recordings of one kind are made over each other, in memory full of other numbers; layers get a tape of
/// their own, since a tape keeps parameters and taps.
Tape& used_tape(const TapeOptions& options) {
  static std::map<std::tuple<DType, bool, bool, bool>, std::unique_ptr<Tape>> tapes;
  auto& tape = tapes[{options.dtype, options.training, options.fused, options.record}];
  if (tape == nullptr) tape = std::make_unique<Tape>(options);
  tape->reset();
  return *tape;
}

std::vector<Tensor> cloned(const Gradients& g, const std::vector<Var>& inputs, const ParameterStore* params) {
  std::vector<Tensor> result;
  for (const Var& x : inputs) result.push_back(g.contains(x) ? g[x].clone() : Tensor(x.shape(), x.dtype()));
  if (params != nullptr)
    for (const Parameter& p : *params)
      result.push_back(g.contains(p) ? g[p].clone() : Tensor(p.shape(), p.value().dtype()));
  return result;
}

}  // namespace

MaskedCase::MaskedCase(std::uint64_t seed, Index b, Index h, Index q, Index k)
    : batch(b), heads(h), query(q), key(k) {
  Draws draws(seed);
  const Shape shapes[] = {{query, key},
                          {batch, heads, query, key},
                          {batch, 1, 1, key},
                          {1, heads, query, 1},
                          {batch, 1, query, key}};
  const Tensor keep = random_keep(draws, shapes[draws.between(0, 4)]);
  const Index kind = draws.between(0, 4);  // 4: all of them together, perhaps
  const auto wanted = [&](Index which) { return kind == which || (kind == 4 && draws.chance(0.6)); };
  if (wanted(0)) mask = mask & (draws.chance(0.5) ? Mask::keep(keep) : Mask::block(keep));
  if (wanted(1)) mask = mask & Mask::causal(draws.between(-4, 6));
  if (wanted(2)) mask = mask & Mask::from_lengths(random_lengths(draws, batch, key));
  if (wanted(3)) mask = mask & Mask::keys(random_keep(draws, {batch, key}));
  allowed = mask.to_tensor(batch, heads, query, key);
}

MaskedCase::MaskedCase(std::uint64_t seed) : MaskedCase(seed, Draws(~seed)) {}

MaskedCase::MaskedCase(std::uint64_t seed, Draws extents)  // braces: from left to right
    : MaskedCase{seed, extents.between(1, 3), extents.between(1, 4), extents.between(1, 9),
                 extents.chance(0.05) ? 0 : extents.between(1, 17)} {}

bool MaskedCase::dead(Index row) const {
  for (Index k = 0; k < key; ++k)
    if (takes_part(row, k)) return false;
  return true;
}

bool MaskedCase::unseen(Index column) const {
  for (Index q = 0; q < query; ++q)
    if (takes_part(column / key * query + q, column % key)) return false;
  return true;
}

Outcome run(const Route& route, DType dtype, const Call& call, const Inputs& inputs, const Inputs& cotangents,
            const ParameterStore* params) {
  const TapeOptions options{
      .dtype = dtype, .training = route.training, .fused = route.fused, .record = route.record};
  std::optional<Tape> fresh;
  if (params != nullptr) fresh.emplace(options);
  Tape& tape = fresh ? *fresh : used_tape(options);
  std::vector<Var> variables;
  for (const Tensor& x : inputs) variables.push_back(tape.variable(x.to(dtype)));
  const VarList results = call(variables);
  Outcome outcome;
  for (const Var& y : results) outcome.values.push_back(y.value().clone());
  if (!route.record) return outcome;
  Var loss = tape.full({}, 0);
  for (std::size_t i = 0; i < results.size(); ++i)
    loss = loss + sum(results[i] * tape.constant(cotangents[i].to(dtype)));
  const Gradients g = tape.backward(loss, {.create_graph = route.create_graph});
  outcome.gradients = cloned(g, variables, params);
  if (!route.create_graph) return outcome;
  Var squares = tape.full({}, 0);
  const auto add = [&](const Var& x) {
    if (g.contains(x)) squares = squares + sum(square(g.var(x)));
  };
  for (const Var& x : variables) add(x);
  if (params != nullptr)
    for (const Parameter& p : *params) add(tape[p]);
  if (squares.needs_grad()) outcome.second = cloned(tape.backward(squares), variables, params);
  return outcome;
}

double difference_of(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0, largest = 1e-3;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k].shape() != b[k].shape()) return INFINITY;
    const Tensor x = a[k].to(DType::f64), y = b[k].to(DType::f64);
    const double *xs = x.data<double>(), *ys = y.data<double>();
    for (Index i = 0; i < x.size(); ++i) {
      const double d = std::abs(xs[i] - ys[i]);
      most = std::isnan(d) ? INFINITY : std::max(most, d);
      largest = std::max({largest, std::abs(xs[i]), std::abs(ys[i])});
    }
  }
  return most / largest;
}

bool equal_numbers(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return x.dtype() == y.dtype() && x.shape() == y.shape() && dispatch(x.dtype(), [&](auto zero) {
             const auto* first = x.data<decltype(zero)>();
             return std::equal(first, first + x.size(), y.data<decltype(zero)>());
           });
  });
}

bool all_finite(const std::vector<Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const Tensor& x) {
    return dispatch(x.dtype(), [&](auto zero) {
      const auto* first = x.data<decltype(zero)>();
      return std::all_of(first, first + x.size(), [](auto v) { return std::isfinite(v); });
    });
  });
}

bool all_finite(const Outcome& o) {
  return all_finite(o.values) && all_finite(o.gradients) && all_finite(o.second);
}

bool zeros(const Tensor& x, Index begin, Index count) {
  return dispatch(x.dtype(), [&](auto zero) {
    const auto* first = x.data<decltype(zero)>() + begin;
    return std::all_of(first, first + count, [](auto v) { return v == 0; });
  });
}

void scramble(Tensor& x, Index begin, Index count) {
  double* first = x.data<double>() + begin;
  for (Index i = 0; i < count; ++i) first[i] = 3 - 7 * first[i];
}

Outcome check_routes(DType dtype, double second_limit, bool training_only,
                     const std::function<Outcome(const Route&)>& run,
                     const std::function<void(const Route&, const Outcome&)>& also) {
  Outcome first;
  for (const Route& route : routes) {
    if (training_only && !route.training) continue;
    BOOST_TEST_CONTEXT(dtype_name(dtype) << ", " << route.name) {
      const Outcome o = run(route);
      also(route, o);
      if (first.values.empty()) first = o;
      const double value_error = difference_of(o.values, first.values);
      BOOST_TEST(value_error <= agreement(dtype));
      if (route.fused) BOOST_TEST(equal_numbers(o.values, first.values), "other bits");
      if (!route.record) continue;
      const double gradient_error = difference_of(o.gradients, first.gradients);
      BOOST_TEST(gradient_error <= agreement(dtype));
      if (!route.create_graph) continue;
      if (route.fused) first.second = o.second;
      const double second_error = difference_of(o.second, first.second);
      BOOST_TEST(second_error <= second_limit);
    }
  }
  return first;
}

void for_seeds(std::uint64_t count, const std::function<void(std::uint64_t)>& body) {
  using boost::unit_test::framework::current_test_case;
  const auto failures = [] {
    return boost::unit_test::results_collector.results(current_test_case().p_id).p_assertions_failed.get();
  };
  int failed = 0;
  for (std::uint64_t seed = 0; seed < count && failed < 3; ++seed) {
    const auto before = failures();
    BOOST_TEST_CONTEXT("seed " << seed) {
      try {
        body(seed);
      } catch (const std::exception& error) {
        BOOST_ERROR("throws: " << error.what());
      }
    }
    failed += failures() > before;
  }
}

}  // namespace tapegrad::test
