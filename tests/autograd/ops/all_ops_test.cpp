// Every sample of every op that is linked in, held against what all ops promise. No list here hears of a new
// op: its own file registers the samples.
#include <tapegrad/autograd/gradcheck.h>
#include <tapegrad/autograd/samples.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

namespace tapegrad {
namespace {

constexpr std::uint64_t seed = 7;

template <class Body>
void for_each_sample(Body&& body) {
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next)
    for (const Sample& sample : op->make()) {
      const std::string label = fmt::format("{} ({})", op->op, sample.label);
      BOOST_TEST_CONTEXT(label) {
        try {
          body(label, sample);
        } catch (const std::exception& error) {
          BOOST_ERROR(label << " throws: " << error.what());
        }
      }
    }
}

TapeOptions options_for(const Sample& sample, DType dtype, bool fused = true) {
  return {.dtype = dtype, .training = sample.training, .fused = fused, .seed = seed};
}

std::vector<Var> variables(Tape& tape, const Sample& sample) {
  std::vector<Var> vars;
  for (const Tensor& x : sample.inputs) vars.push_back(tape.variable(x.to(tape.dtype())));
  return vars;
}

Tensor cotangent_for(const Var& y, double scale = 1) {
  Tensor c = sample_values(y.shape(), -1, 1, 11, 0.5).to(y.dtype());
  dispatch(c.dtype(), [&](auto zero) {
    using T = decltype(zero);
    c.array<T>() *= static_cast<T>(scale);
  });
  return c;
}

/// A value and the gradients of the inputs (empty where none arrived), in memory of their own.
using Results = std::vector<Tensor>;

Results gradients(Tape& tape, const Var& y, const std::vector<Var>& vars, BackwardOptions options = {}) {
  if (!options.cotangent) options.cotangent = cotangent_for(y);
  Results results(vars.size());
  if (!y.needs_grad()) return results;
  const Gradients g = tape.backward(y, options);
  for (std::size_t i = 0; i < vars.size(); ++i)
    if (g.contains(vars[i])) results[i] = g[vars[i]].clone();
  return results;
}

Results run(const Sample& sample, const TapeOptions& options, BackwardOptions backward = {}) {
  Tape tape(options);
  const std::vector<Var> vars = variables(tape, sample);
  const Var y = sample.call(vars);
  const Tensor value = y.value().clone();
  Results results = gradients(tape, y, vars, std::move(backward));
  results.insert(results.begin(), value);
  return results;
}

std::vector<double> numbers(const Tensor& x, const Tensor& shaped_like) {
  if (x) return x.to_vector();
  return std::vector<double>(static_cast<std::size_t>(shaped_like ? shaped_like.size() : 0));
}

/// Largest difference relative to the largest entry; a gradient that did not arrive counts as zeros.
double distance(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = numbers(a, b), y = numbers(b, a);
  if (x.size() != y.size()) return std::numeric_limits<double>::infinity();
  double largest = 1e-3, difference = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i]) continue;  // infinities too
    largest = std::max({largest, std::abs(x[i]), std::abs(y[i])});
    const double d = std::abs(x[i] - y[i]);
    difference = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(difference, d);
  }
  return difference / largest;
}

void check_near(const Results& a, const Results& b, double tolerance) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    BOOST_TEST(distance(a[i], b[i]) <= tolerance,
               (i == 0 ? std::string("value") : fmt::format("gradient of input {}", i - 1))
                   << " differs by " << distance(a[i], b[i]));
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return static_cast<bool>(a) == static_cast<bool>(b) && (!a || identical(a, b));
}

void check_same(const Results& a, const Results& b) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    BOOST_TEST(same_bits(a[i], b[i]), "result " << i << " has other bits");
}

std::set<std::string> names_on(const Tape& tape) {
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < tape.size(); ++i)
    if (const Op* op = tape.node(i).op) names.insert(op->name());
  return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(all_ops)

BOOST_AUTO_TEST_CASE(gradients_match_finite_differences) {
  double worst = 0;
  std::string where;
  std::size_t samples = 0;
  for_each_sample([&](const std::string& label, const Sample& sample) {
    ++samples;
    for (const bool fused : {true, false}) {
      const GradcheckResult r =
          gradcheck(sample.call, sample.inputs,
                    {.label = label, .training = sample.training, .fused = fused, .seed = seed});
      BOOST_TEST(r.ok, (fused ? "" : "definition: ") << r.message);
      if (r.max_relative_error >= worst) where = r.message;
      worst = std::max(worst, r.max_relative_error);
    }
  });
  BOOST_TEST_MESSAGE(samples << " samples; largest error: " << where);
}

BOOST_AUTO_TEST_CASE(gradients_of_gradients_match_finite_differences) {
  double worst = 0;
  std::string where;
  for_each_sample([&](const std::string& label, const Sample& sample) {
    const GradcheckResult r =
        gradgradcheck(sample.call, sample.inputs,
                      {.label = label, .tolerance = 1e-7, .training = sample.training, .seed = seed});
    BOOST_TEST(r.ok, r.message);
    if (r.max_relative_error >= worst) where = r.message;
    worst = std::max(worst, r.max_relative_error);
  });
  BOOST_TEST_MESSAGE("largest error: " << where);
}

BOOST_AUTO_TEST_CASE(kernels_equal_definitions) {
  for_each_sample([](const std::string&, const Sample& sample) {
    for (const DType dtype : {DType::f32, DType::f64})
      check_near(run(sample, options_for(sample, dtype)), run(sample, options_for(sample, dtype, false)),
                 dtype == DType::f32 ? 1e-6 : 1e-12);
  });
}

BOOST_AUTO_TEST_CASE(raw_backwards_equal_pullbacks_written_in_ops) {
  for_each_sample([](const std::string&, const Sample& sample) {
    const TapeOptions options = options_for(sample, DType::f64);
    check_near(run(sample, options), run(sample, options, {.create_graph = true}), 1e-12);
  });
}

BOOST_AUTO_TEST_CASE(f32_follows_f64) {
  for_each_sample([](const std::string&, const Sample& sample) {
    check_near(run(sample, options_for(sample, DType::f32)), run(sample, options_for(sample, DType::f64)),
               1e-4);
  });
}

BOOST_AUTO_TEST_CASE(passes_repeat_bit_for_bit_and_are_linear) {
  for_each_sample([](const std::string&, const Sample& sample) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tape tape(options_for(sample, dtype));
      const std::vector<Var> vars = variables(tape, sample);
      const Var y = sample.call(vars);
      const Results once = gradients(tape, y, vars),
                    doubled = gradients(tape, y, vars, {.cotangent = cotangent_for(y, 2)});
      check_same(once, gradients(tape, y, vars));
      for (std::size_t i = 0; i < once.size(); ++i) {
        if (!once[i]) continue;
        Tensor twice = once[i].clone();
        dispatch(dtype, [&](auto zero) { twice.array<decltype(zero)>() *= decltype(zero)(2); });
        BOOST_TEST(same_bits(twice, doubled[i]),
                   "a doubled cotangent does not double the gradient of input " << i);
      }
      check_same(once, gradients(tape, y, vars, {.consume = true}));
    }
  });
}

BOOST_AUTO_TEST_CASE(tapes_that_do_not_record_give_the_same_bits) {
  for_each_sample([](const std::string&, const Sample& sample) {
    for (const bool fused : {true, false}) {
      TapeOptions options = options_for(sample, DType::f32, fused);
      Tape recording(options);
      options.record = false;
      Tape other(options);
      const Tensor a = sample.call(variables(recording, sample)).value(),
                   b = sample.call(variables(other, sample)).value();
      BOOST_TEST(identical(a, b));
    }
  });
}

BOOST_AUTO_TEST_CASE(definitions_are_made_of_primitives) {
  for_each_sample([](const std::string&, const Sample& sample) {
    Tape tape(options_for(sample, DType::f64, false));
    const std::vector<Var> vars = variables(tape, sample);
    gradients(tape, sample.call(vars), vars, {.create_graph = true});
    for (std::uint32_t i = 0; i < tape.size(); ++i)
      if (const Op* op = tape.node(i).op) BOOST_TEST(op->is_primitive(), op->name() << " is not primitive");
  });
}

BOOST_AUTO_TEST_CASE(every_op_has_samples) {
  std::map<std::string, int> recorded;  // by registered name: samples on whose tape the op appears
  std::map<std::string, bool> degenerate;
  std::set<std::string> seen;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next) {
    BOOST_TEST(!recorded.contains(op->op), "the samples of " << op->op << " are registered twice");
    recorded[op->op] = 0;
    for (const Sample& sample : op->make()) {
      std::set<std::string> names;
      for (const bool fused : {true, false}) {
        Tape tape(options_for(sample, DType::f64, fused));
        const std::vector<Var> vars = variables(tape, sample);
        const Var y = sample.call(vars);
        names.merge(names_on(tape));
        gradients(tape, y, vars, {.create_graph = true});
        seen.merge(names_on(tape));
      }
      recorded[op->op] += names.contains(op->op) ? 1 : 0;
      for (const Tensor& x : sample.inputs) degenerate[op->op] |= x.rank() == 0 || x.size() == 0;
    }
  }
  for (const auto& [name, count] : recorded) {
    const int wanted = name == "attention" ? 24 : 6;
    BOOST_TEST(count >= wanted, name << " is recorded by " << count << " samples, wanted " << wanted);
    BOOST_TEST(degenerate[name], name << " has no sample with an input of rank 0 or size 0");
  }
  for (const std::string& name : seen)
    BOOST_TEST(recorded.contains(name), name << " is recorded but has no samples");
}

BOOST_AUTO_TEST_CASE(samples_reach_the_points_where_ops_go_wrong) {
  const std::set<std::string> exempt = {};  // "op: point" that an op does not admit
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next) {
    std::map<std::string, bool> reached = {{"extent of 1", false},
                                           {"repeated input", false},
                                           {"large magnitude", false},
                                           {"small magnitude", false}};
    for (const Sample& sample : op->make()) {
      double largest = 0;
      for (const Tensor& x : sample.inputs) {
        for (const double v : x.to_vector()) largest = std::max(largest, std::abs(v));
        reached["extent of 1"] |= std::find(x.shape().begin(), x.shape().end(), 1) != x.shape().end();
      }
      reached["large magnitude"] |= largest >= 5 || (largest >= 3 && sample.label == "large magnitude");
      reached["small magnitude"] |=
          largest > 0 && (largest <= 0.5 || sample.label.find("small magnitude") != std::string::npos);
      Tape tape(options_for(sample, DType::f64));
      const std::vector<Var> vars = variables(tape, sample);
      sample.call(vars);
      std::map<std::uint32_t, int> uses;  // of the variables, the first nodes
      for (std::uint32_t i = 0; i < tape.size(); ++i)
        for (std::uint16_t k = 0; k < tape.node(i).input_count; ++k)
          reached["repeated input"] |=
              tape.node(i).inputs[k] < vars.size() && ++uses[tape.node(i).inputs[k]] > 1;
    }
    for (const auto& [point, found] : reached)
      BOOST_TEST((found || exempt.contains(fmt::format("{}: {}", op->op, point))),
                 op->op << " has no sample with: " << point);
  }
}

BOOST_AUTO_TEST_CASE(the_ops_found_are_those_of_the_files) {
  std::set<std::string> registered, written;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next) registered.insert(op->op);
  for (const auto& entry : std::filesystem::directory_iterator(TAPEGRAD_SOURCE_DIR "/autograd/ops")) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() == ".h")
      BOOST_TEST(std::filesystem::exists(std::filesystem::path(path).replace_extension(".cpp")), path);
    if (path.extension() != ".cpp") continue;
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::regex registration("const OpSamples \\w+\\(\"(\\w+)\"");
    std::size_t count = 0;
    for (std::sregex_iterator at(text.begin(), text.end(), registration); at != std::sregex_iterator();
         ++at, ++count)
      written.insert((*at)[1]);
    BOOST_TEST(count > 0, path << " registers no samples");
  }
  BOOST_TEST(registered == written, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
