// The cost of the tape alone: chains of small ops, recorded and walked back, less the arithmetic of the chain
// written as plain loops. Prints one JSON line, nanoseconds a node:
//   forward, backward, both   of the recorded chain with .consume, the reset included in `forward`
//   arithmetic                of the plain loops, forward and backward
//   ns_per_node               both - arithmetic: the tape's share
// for a chain of add, mul and relu in turn, and under `by_op` for chains of one of them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include <tapegrad/autograd/ops/activation.h>
#include <tapegrad/autograd/ops/arithmetic.h>

#include "examples/support/cli.h"
#include "tests/bench/program/measure.h"

namespace tapegrad::bench {
namespace {

constexpr Index width = 16;
enum class Kind { add, mul, relu };
using Chain = std::vector<Kind>;

struct Options {
  int nodes = 999;
  double seconds = 0.2;
};

/// Vectors that every processor has; a row is four of them.
typedef float Quad __attribute__((vector_size(4 * sizeof(float))));
using Row = std::array<Quad, width / 4>;

Row filled(float value) {
  Row row;
  row.fill(Quad{} + value);
  return row;
}

/// The chain x ← x + a, x ← x · b or x ← relu(x), and the gradients of x, a and b, without a tape: values and
/// gradients in plain buffers. No op is inlined, so none merges with the next.
class Plain {
 public:
  explicit Plain(std::size_t nodes) : values_(nodes + 1, filled(1)) {}

  void forward(const Chain& chain) {
    Row* x = values_.data();
    for (const Kind kind : chain) {
      run(kind, x, x + 1);
      ++x;
    }
  }
  void backward(const Chain& chain) {
    da_ = db_ = Row{};
    d_ = filled(1);
    for (std::size_t i = chain.size(); i-- > 0;) walk_back(chain[i], values_[i]);
  }
  float gradient() const { return d_[0][0]; }

 private:
  [[gnu::noinline]] void run(Kind kind, const Row* x, Row* y) const {
    for (std::size_t i = 0; i < x->size(); ++i)
      (*y)[i] = kind == Kind::add   ? (*x)[i] + a_[i]
                : kind == Kind::mul ? (*x)[i] * b_[i]
                                    : ((*x)[i] > 0 ? (*x)[i] : Quad{});
  }
  [[gnu::noinline]] void walk_back(Kind kind, const Row& x) {
    for (std::size_t i = 0; i < x.size(); ++i)
      if (kind == Kind::add) {
        da_[i] += d_[i];
      } else if (kind == Kind::mul) {
        db_[i] += d_[i] * x[i];
        d_[i] *= b_[i];
      } else {
        d_[i] = x[i] > 0 ? d_[i] : Quad{};
      }
  }

  std::vector<Row> values_;
  Row a_{}, b_ = filled(1), d_{}, da_{}, db_{};
};

/// Seconds of the fastest of many runs of `body`.
template <class Body>
double fastest(double seconds, Body&& body) {
  double best = 1e9;
  for (const double end = now() + seconds; now() < end;) best = std::min(best, body());
  return best;
}

struct Times {
  double forward = 1e9, backward = 1e9, both = 1e9, arithmetic = 1e9;
};

Times measure(const Chain& chain, double seconds) {
  Tape tape;
  const Tensor one = Tensor::full({width}, 1), zero = Tensor::zeros({width});
  Times times;
  fastest(seconds, [&] {
    const double start = now();
    tape.reset();
    Var x = tape.variable(one);
    const Var a = tape.variable(zero), b = tape.variable(one);
    for (const Kind kind : chain) x = kind == Kind::add ? x + a : kind == Kind::mul ? x * b : relu(x);
    const double middle = now();
    const Gradients gradients = tape.backward(x, {.consume = true, .cotangent = one});
    const double end = now();
    times.forward = std::min(times.forward, middle - start);
    times.backward = std::min(times.backward, end - middle);
    times.both = std::min(times.both, end - start);
    return end - start;
  });
  Plain plain(chain.size());
  float sink = 0;
  times.arithmetic = fastest(seconds, [&] {
    const double start = now();
    plain.forward(chain);
    plain.backward(chain);
    const double end = now();
    sink += plain.gradient();
    return end - start;
  });
  expects(std::isfinite(sink), "node_bench: the gradient of the plain chain is not finite");
  return times;
}

Chain chain_of(std::initializer_list<Kind> kinds, int nodes) {
  Chain chain(static_cast<std::size_t>(nodes));
  for (std::size_t i = 0; i < chain.size(); ++i) chain[i] = kinds.begin()[i % kinds.size()];
  return chain;
}

Json report(const Times& times, int nodes) {
  const auto per_node = [&](double seconds) { return rounded(1e9 * seconds / nodes, 2); };
  return {{"forward", per_node(times.forward)},
          {"backward", per_node(times.backward)},
          {"both", per_node(times.both)},
          {"arithmetic", per_node(times.arithmetic)},
          {"ns_per_node", per_node(times.both - times.arithmetic)}};
}

void run(const Options& options) {
  pin(1);
  const auto measured = [&](std::initializer_list<Kind> kinds) {
    return report(measure(chain_of(kinds, options.nodes), options.seconds), options.nodes);
  };
  Json out = {{"backend", "tapegrad"}, {"nodes", options.nodes}, {"floats", width}};
  out.update(measured({Kind::add, Kind::mul, Kind::relu}));
  out["by_op"] = {
      {"add", measured({Kind::add})}, {"mul", measured({Kind::mul})}, {"relu", measured({Kind::relu})}};
  fmt::print("{}\n", out.dump());
}

int main(int argc, char** argv) {
  CLI::App app("Times the tape by itself: nanoseconds a node of chains of small ops, less their arithmetic.");
  Options options;
  app.add_option("--nodes", options.nodes, "length of the chain")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--seconds", options.seconds, "to measure each of the eight cases")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  return examples::run_program("node_bench", app, argc, argv, [&] { run(options); });
}

}  // namespace
}  // namespace tapegrad::bench

int main(int argc, char** argv) { return tapegrad::bench::main(argc, argv); }
