// A recording in plain memory: the tape's own bits, where they came from, and numbers to check them by.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>

#include <tapegrad/autograd/inspect/record/record.h>
#include <tapegrad/autograd/ops.h>
#include <tests/support/small_seq2seq.h>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

/// A Transformer with dropout over two sentences of different length, on a tape of its own.
struct Model {
  ParameterStore params;
  Seq2Seq model;
  Tape tape;
  Var loss;

  explicit Model(TapeOptions options, bool tapped = false, bool checkpointed = false)
      : params(3, options.dtype), model(params.root(), shape(checkpointed)), tape(trained(options)) {
    test::shake(params);
    if (tapped) tape.observers().collect("*");
    loss = model.loss_sum(tape, test::shards_of(2, 2, 4, 1, 6)[0]);
  }
  static Seq2SeqOptions shape(bool checkpointed) {
    Seq2SeqOptions options = test::small_options(0.2);
    options.transformer.checkpoint = checkpointed;
    return options;
  }
  static TapeOptions trained(TapeOptions options) {
    options.training = true;
    options.seed = 4;
    return options;
  }
};

/// Every value's handle, in the order of their ids.
std::vector<Var> handles(const Tape& tape, const Var& loss) {
  std::vector<Var> vars;
  for (std::uint32_t i = 0; i <= loss.id().node; ++i) {
    const int visible = tape.node(i).op == nullptr ? 1 : tape.node(i).op->outputs();
    for (int k = 0; k < visible; ++k) vars.push_back(tape.handle(i, static_cast<std::uint32_t>(k)));
  }
  return vars;
}

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double x : values) most = std::max(most, std::abs(x));
  return most;
}

const TapeOptions kinds[] = {{.dtype = DType::f64, .show_parts = true},
                             {.dtype = DType::f64},
                             {.dtype = DType::f64, .fused = false},
                             {.dtype = DType::f32}};

}  // namespace

BOOST_AUTO_TEST_SUITE(record_suite)

BOOST_AUTO_TEST_CASE(values_and_gradients_are_those_of_the_tape) {
  for (const TapeOptions& kind : kinds)
    for (const bool tapped : {false, true}) {
      Model m(kind, tapped);
      const TapeRecord taken = record(m.loss);
      const std::vector<Var> vars = handles(m.tape, m.loss);
      const Gradients gradients = m.tape.backward(m.loss);
      BOOST_REQUIRE(taken.values.size() == vars.size());
      BOOST_TEST((taken.dtype == kind.dtype));
      BOOST_TEST(taken.seed == 4U);
      BOOST_TEST(taken.loss == vars.size() - 1);
      for (const RecordedValue& v : taken.values) {
        const Var& x = vars[v.id];
        BOOST_TEST((v.shape == x.shape()));
        BOOST_TEST((v.value == x.value().to_vector()), v.name() << " " << v.op);
        const auto expected = gradients.contains(x) ? gradients[x].to_vector() : std::vector<double>();
        BOOST_TEST((v.gradient == expected), "gradient of " << v.name() << " " << v.op);
      }
    }
}

BOOST_AUTO_TEST_CASE(the_parts_that_rules_send_sum_to_gradients) {
  for (const TapeOptions& kind : kinds) {
    Model m(kind);
    const TapeRecord taken = record(m.loss);
    std::vector<std::vector<double>> sums(taken.values.size());
    std::vector<int> walked(taken.values.size());
    for (const std::uint32_t id : taken.order) {
      ++walked[id];
      BOOST_TEST(!taken[id].gradient.empty());
      for (const RecordedPart& part : taken[id].input_grads) {
        BOOST_TEST(part.to == taken[id].inputs[part.input]);
        BOOST_TEST((part.shape == taken[part.to].shape));
        sums[part.to].resize(part.values.size());
        for (std::size_t i = 0; i < part.values.size(); ++i) sums[part.to][i] += part.values[i];
      }
    }
    for (const RecordedValue& v : taken.values) {
      BOOST_TEST(walked[v.id] == (v.leaf() || v.gradient.empty() ? 0 : 1), v.name() << " " << v.op);
      if (v.id == taken.loss || v.gradient.empty()) continue;
      BOOST_REQUIRE(sums[v.id].size() == v.gradient.size());
      const double tolerance = (kind.dtype == DType::f64 ? 1e-14 : 1e-6) * largest(v.gradient);
      for (std::size_t i = 0; i < v.gradient.size(); ++i)
        BOOST_TEST(std::abs(sums[v.id][i] - v.gradient[i]) <= tolerance, v.name() << " " << v.op);
    }
    BOOST_TEST(std::is_sorted(taken.order.rbegin(), taken.order.rend()));
  }
}

BOOST_AUTO_TEST_CASE(the_tape_is_as_before) {
  for (const TapeOptions& kind : kinds) {
    Model m(kind, true), same(kind, true);
    const std::size_t nodes = m.tape.size(), bytes = m.tape.bytes(),
                      taps = m.tape.observers().collected().size();
    record(m.loss, {.time = true});
    BOOST_TEST(m.tape.size() == nodes);
    BOOST_TEST(m.tape.bytes() == bytes);
    BOOST_TEST(m.tape.observers().collected().size() == taps);
    BOOST_TEST(m.loss.item() == same.loss.item());
    const Var a = dropout(m.loss + m.tape.full({40}, 1), 0.5),
              b = dropout(same.loss + same.tape.full({40}, 1), 0.5);
    BOOST_TEST(identical(a.value(), b.value()));  // the draws go on where they were
  }
}

BOOST_AUTO_TEST_CASE(numerical_gradients_agree_everywhere) {
  Model m({.dtype = DType::f64, .show_parts = true}, true);
  const TapeRecord taken = record(m.loss, {.numeric = Numeric::sampled});
  std::size_t whole = 0, some = 0;
  for (const RecordedValue& v : taken.values) {
    BOOST_TEST(v.check.values.empty() == v.gradient.empty());
    if (v.gradient.empty()) continue;
    BOOST_TEST(v.check.passed(),
               v.id << " " << v.name() << " " << v.op << ": " << v.check.relative << " at " << v.check.cell);
    BOOST_TEST(v.check.values.size() == (v.check.cells.empty() ? v.value.size() : 16U));
    BOOST_TEST(std::is_sorted(v.check.cells.begin(), v.check.cells.end()));
    const bool named = !v.label.empty() && !v.parameter;
    if (named || (v.leaf() && v.value.size() <= 512) || v.value.size() <= 16)
      BOOST_TEST(v.check.cells.empty());
    ++(v.check.cells.empty() ? whole : some);
  }
  BOOST_TEST(whole > 100U);
  BOOST_TEST(some > 40U);
  const RecordedValue& weights = taken.named("transformer.decoder.layers.1.self_attn.weights");
  BOOST_TEST(weights.check.values.size() == weights.value.size());
}

BOOST_AUTO_TEST_CASE(a_recording_in_f32_is_checked_in_f64) {
  Model m({.dtype = DType::f32}, true);
  const TapeRecord taken = record(m.loss, {.numeric = Numeric::sampled, .small = 8, .samples = 2});
  std::size_t checked = 0;
  for (const RecordedValue& v : taken.values) {
    BOOST_TEST(v.check.passed(), v.name() << " " << v.op << ": " << v.check.relative);
    BOOST_TEST(v.check.tolerance == (v.check.values.empty() ? 1e-6 : 1e-3));
    checked += !v.check.values.empty();
  }
  BOOST_TEST(checked > 100U);
}

BOOST_AUTO_TEST_CASE(watched_values_are_checked_at_every_element) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(Tensor::full({5, 8}, 0.5, DType::f64)), y = sin(x), z = exp(y);
  const auto watch = [](const TapeRecord& r) {
    BOOST_TEST(!r.values.at(1).gradient.empty());
    return std::vector<std::uint32_t>{1};
  };
  const TapeRecord taken =
      record(sum(z), {.numeric = Numeric::sampled, .small = 39, .samples = 3, .watch = watch});
  BOOST_TEST(taken[0].check.values.size() == 3U);
  BOOST_TEST(taken[1].check.values.size() == 40U);
  BOOST_TEST(taken[2].check.values.size() == 3U);
  const TapeRecord again = record(sum(z), {.numeric = Numeric::sampled, .small = 39, .samples = 3});
  BOOST_TEST((again[2].check.cells == taken[2].check.cells));
  BOOST_TEST(record(sum(z), {.numeric = Numeric::all})[2].check.values.size() == 40U);
}

BOOST_AUTO_TEST_CASE(a_broken_rule_is_found_where_it_is) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{0.1, -0.4, 0.3}, {0.2, 0.5, -0.1}});
  const Var w = softmax(x), y = square(w), loss = sum(y * y);
  const auto broken = [](Step& step) {
    if (step.op != "softmax") return;
    Tensor twice = step.input_grads[0].clone();
    for (Index i = 0; i < twice.size(); ++i) twice.data<double>()[i] *= 2;
    step.input_grads[0] = twice;
  };
  const TapeRecord taken = record(loss, {.numeric = Numeric::all, .intervene = broken});
  for (const RecordedValue& v : taken.values)
    BOOST_TEST(v.check.passed() == (v.op != "variable"), v.op << ": " << v.check.relative);
  BOOST_TEST(taken[0].check.relative == 0.5, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(record(loss, {.numeric = Numeric::all})[0].check.passed());
}

BOOST_AUTO_TEST_CASE(kinks_are_left_out) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({-1, 0, 2});
  const TapeRecord taken = record(sum(relu(x)), {.numeric = Numeric::all});
  const RecordedCheck& check = taken[0].check;
  BOOST_TEST(check.values.size() == 3U);
  BOOST_TEST(std::isnan(check.values[1]));
  BOOST_TEST(check.values[0] == 0.0);
  BOOST_TEST(check.passed());
}

BOOST_AUTO_TEST_SUITE_END()
