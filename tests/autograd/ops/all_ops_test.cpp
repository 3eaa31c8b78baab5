// Every sample of every op, held against what all ops promise. A new op's NAME_samples.cpp registers its
// samples, and no list here changes.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

#include <tests/support/uninitialized_checks.h>

namespace tapegrad {
namespace {

using namespace op_checks;

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

/// Runs a check that says what is wrong, or nothing.
void expect(const std::string& wrong) { BOOST_TEST(wrong.empty(), wrong); }

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
    if (!sample.differences) return;
    ++samples;
    for (const bool fused : {true, false}) {
      const GradcheckResult r = check_gradients(label, sample, fused);
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
    const GradcheckResult r = check_gradients_of_gradients(label, sample);
    BOOST_TEST(r.ok, r.message);
    if (r.max_relative_error >= worst) where = r.message;
    worst = std::max(worst, r.max_relative_error);
  });
  BOOST_TEST_MESSAGE("largest error: " << where);
}

BOOST_AUTO_TEST_CASE(kernels_equal_definitions) {
  for_each_sample([](const std::string&, const Sample& sample) { expect(kernel_equals_definition(sample)); });
}

BOOST_AUTO_TEST_CASE(raw_backwards_equal_pullbacks_written_in_ops) {
  for_each_sample([](const std::string&, const Sample& sample) { expect(raw_equals_pullback(sample)); });
}

BOOST_AUTO_TEST_CASE(completed_cotangents_equal_those_of_definitions) {
  for_each_sample([](const std::string&, const Sample& sample) { expect(completed_equal_pullback(sample)); });
}

BOOST_AUTO_TEST_CASE(f32_follows_f64) {
  for_each_sample(
      [](const std::string&, const Sample& sample) { expect(op_checks::f32_follows_f64(sample)); });
}

BOOST_AUTO_TEST_CASE(passes_repeat_bit_for_bit_and_are_linear) {
  for_each_sample([](const std::string&, const Sample& sample) { expect(repeats_and_is_linear(sample)); });
}

BOOST_AUTO_TEST_CASE(gradients_of_two_uses_add_up) {
  for_each_sample([](const std::string&, const Sample& sample) { expect(uses_add_up(sample)); });
}

BOOST_AUTO_TEST_CASE(gradients_do_not_depend_on_which_other_inputs_have_one) {
  for_each_sample([](const std::string&, const Sample& sample) { expect(inputs_alone(sample)); });
}

BOOST_AUTO_TEST_CASE(what_holds_nothing_is_written_as_if_it_held_zeros) {
  std::set<std::string> writing;
  for_each_sample(
      [&](const std::string&, const Sample& sample) { expect(uninitialized_gradients(sample, &writing)); });
  for (const char* op :
       {"add", "sub", "mul", "div", "affine", "linear", "matmul", "attention", "layer_norm", "rms_norm",
        "softmax", "log_softmax", "cross_entropy", "relu", "gelu", "dropout", "reshape", "permute"})
    BOOST_TEST(writing.contains(op), op << " reads memory that holds nothing yet");
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
  // Types that ops take or print their formulas with, and functions that are written in ops.
  const std::set<std::string> no_op = {"mask", "layout", "heads", "symbol", "equation", "backward_equation"};
  std::set<std::string> registered, written;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next) registered.insert(op->op);
  const std::filesystem::path tree = TAPEGRAD_SOURCE_DIR;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tree / "autograd/ops")) {
    const std::filesystem::path& source = entry.path();
    if (source.extension() != ".cpp" || no_op.contains(source.stem().string())) continue;
    const std::filesystem::path folder =
                                    tree / "tests" / std::filesystem::relative(source.parent_path(), tree),
                                path = folder / (source.stem().string() + "_samples.cpp");
    std::ifstream file(path);
    BOOST_TEST(file.is_open(), path << " is missing");
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
