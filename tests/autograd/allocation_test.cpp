// A training step whose shapes were seen before calls no allocator.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/layer.h>

#include <tests/support/malloc_count.h>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

namespace tapegrad {
using namespace nn;
namespace {

using test::allocation_calls;
using test::counts_allocations;

constexpr Index vocabulary = 11, width = 16, hidden = 32, heads = 4;

void small(Tensor& values, RandomKey key) {
  for (Index i = 0; i < values.size(); ++i)
    values.data<float>()[i] = static_cast<float>(0.4 * uniform01(key, static_cast<std::uint64_t>(i)) - 0.2);
}

/// One attention block and one feed-forward block over embedded tokens.
struct Model : Layer<Model> {
  explicit Model(const Scope& s)
      : Layer(s),
        embed(s.parameter("embed", {vocabulary, width}, small)),
        in(s.parameter("in", {3 * width, width}, small)),
        gain(s.parameter("gain", {width}, small)),
        bias(s.parameter("bias", {width}, small)),
        up(s.parameter("up", {hidden, width}, small)),
        down(s.parameter("down", {width, hidden}, small)) {}

  /// ids [batch, time] -> logits [batch, time, vocabulary]
  Var forward(Tape& tape, const Tensor& ids, const Mask& mask) const {
    const Var x = dropout(embedding(tape[embed], ids), 0.1);
    const Var q = linear(x, rows(tape[in], 0, width)), k = linear(x, rows(tape[in], width, width)),
              v = linear(x, rows(tape[in], 2 * width, width));
    const Var seen = x + attention(q, k, v, {.mask = mask, .dropout = 0.1, .layout = PackedHeads{heads}});
    const Var y = layer_norm(seen, tape[gain], tape[bias]);
    return linear(y + linear(relu(linear(y, tape[up])), tape[down]), tape[embed]);
  }

  Parameter embed, in, gain, bias, up, down;
};

struct Batch {
  Tensor ids, targets;
  Mask mask;
};

Batch batch_of(Index size, Index time) {
  Tensor ids({size, time}, DType::i64), targets({size, time}, DType::i64);
  std::vector<Index> lengths;
  for (Index i = 0; i < size * time; ++i) {
    ids.data<Index>()[i] = i % vocabulary;
    targets.data<Index>()[i] = (i * 7) % vocabulary;
  }
  for (Index b = 0; b < size; ++b) lengths.push_back(time - b % 2);
  return {ids, targets, Mask::causal() & Mask::from_lengths(lengths)};
}

double step(Tape& tape, const Model& model, const Batch& batch, std::uint64_t number) {
  tape.reset(number);
  const Var logits = model(tape, batch.ids, batch.mask);
  const Var loss = cross_entropy(logits, batch.targets, {.label_smoothing = 0.1});
  const Gradients g = tape.backward(loss, {.consume = true});
  for (const Gradients::Entry& entry : g.parameters("test"))
    entry.parameter->update(
        [&](Tensor& values) { values.array<float>() -= 0.1F * entry.gradient.array<float>(); });
  return loss.item();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE(every_kind_of_allocation_is_counted) {
  if (!counts_allocations()) return;
  const auto calls = [](auto&& body) {
    const std::uint64_t before = allocation_calls();
    body();
    return allocation_calls() - before;
  };
  void* volatile block = nullptr;
  BOOST_TEST(calls([] {}) == 0u);
  BOOST_TEST(calls([&] { block = std::malloc(8); }) == 1u);
  BOOST_TEST(calls([&] { block = std::realloc(block, 4096); }) == 1u);
  std::free(block);
  BOOST_TEST(calls([&] { block = std::calloc(1, 8); }) == 1u);
  std::free(block);
  BOOST_TEST(calls([&] { block = std::aligned_alloc(64, 64); }) == 1u);
  std::free(block);
  void* aligned = nullptr;
  BOOST_TEST(calls([&] { BOOST_TEST(posix_memalign(&aligned, 64, 64) == 0); }) >= 1u);
  std::free(aligned);
  BOOST_TEST(calls([&] { block = ::operator new(8); }) == 1u);
  ::operator delete(block);
  BOOST_TEST(calls([&] { block = ::operator new (64, std::align_val_t{64}); }) == 1u);
  ::operator delete (block, std::align_val_t{64});
  std::atomic<bool> go = false, done = false;
  std::jthread other([&] {
    while (!go) {
    }
    void* volatile mine = std::malloc(8);
    std::free(mine);
    done = true;
  });
  BOOST_TEST(calls([&] {
               go = true;
               while (!done) {
               }
             }) == 1u);
}

BOOST_AUTO_TEST_CASE(warm_steps_of_three_shapes_in_random_order_allocate_nothing) {
  ParameterStore params(1);
  const Model model(params.root() / "model");
  const std::array<Batch, 3> batches = {batch_of(4, 7), batch_of(2, 12), batch_of(8, 3)};
  Tape tape({.training = true, .seed = 3});
  double first = 0, last = 0;
  for (std::uint64_t round = 0; round < 2; ++round)
    for (const Batch& batch : batches) first = step(tape, model, batch, round);
  const RandomKey order = random_key(5, 0, 0, 0);
  for (std::uint64_t i = 0; i < 20; ++i) {
    const Batch& batch = batches[random_bits(order, i) % batches.size()];
    const std::uint64_t before = allocation_calls();
    last = step(tape, model, batch, 2 + i);
    const std::uint64_t calls = allocation_calls() - before;
    BOOST_TEST(calls == 0u, "step " << i << " allocates " << calls << " times");
  }
  BOOST_TEST(last < first);
}

BOOST_AUTO_TEST_CASE(definitions_and_many_operands_allocate_nothing_when_warm) {
  Tape tape({.fused = false});
  const Tensor data = Tensor::of({{0.1, 0.2}, {0.3, 0.4}});
  const std::vector<Index> sizes(12, 1);
  std::array<Var, 12> parts;
  const auto run = [&] {
    tape.reset();
    const Var x = tape.variable(data);
    for (Var& part : parts) part = softmax(x * 2);
    const Var all = concat(parts, 0);
    tape.backward(sum(all * all), {.consume = true});
  };
  run();
  run();
  const std::uint64_t before = allocation_calls();
  run();
  BOOST_TEST(allocation_calls() - before == 0u);
}

BOOST_AUTO_TEST_CASE(norms_and_extremes_allocate_nothing_when_warm) {
  Tape tape;
  const Tensor data = Tensor::of({{0.1, 0.2}, {0.3, 0.4}});
  const auto run = [&] {
    tape.reset();
    const Var x = tape.variable(data),
              y = maximum(norm(x, {.axis = -1, .keepdim = true}), minimum(x, 0.25 - x));
    tape.backward(sum(y * max(x, 0) * min(x, {.axis = 1, .keepdim = true})), {.consume = true});
  };
  run();
  run();
  const std::uint64_t before = allocation_calls();
  run();
  BOOST_TEST(allocation_calls() - before == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
