#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/fused/embed.h>
#include <tapegrad/autograd/ops/index.h>
#include <tapegrad/autograd/ops/slice.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string_view>
#include <vector>

using namespace tapegrad;

namespace {
auto says(std::string_view expected) {
  return [expected](const Error& error) {
    BOOST_TEST(error.what() == expected);
    return true;
  };
}
}  // namespace

BOOST_AUTO_TEST_SUITE(embed_op)

BOOST_AUTO_TEST_CASE(by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.fused = fused});
    const Var weight = tape.variable({{1, 2}, {3, 4}, {5, 6}}),
              positions = tape.variable({{10, 20}, {30, 40}});
    const Var y = embed(tape, Tensor::ids({{2, 0}, {2, 1}}), {weight, 1}, {positions}, {.scale = 2});
    BOOST_TEST(y.shape() == (Shape{2, 2, 2}));
    BOOST_TEST(y.value().to_vector() == (std::vector<double>{20, 32, 32, 44, 20, 32, 36, 48}));
    const Gradients g = tape.backward(y, {.cotangent = Tensor::of({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}})});
    BOOST_TEST(g[weight].to_vector() == (std::vector<double>{6, 8, 0, 0, 12, 16}));
    BOOST_TEST(g[positions].to_vector() == (std::vector<double>{6, 8, 10, 12}));
  }
}

BOOST_AUTO_TEST_CASE(the_bits_are_those_of_the_three_ops) {
  const Tensor ids = Tensor::ids({{4, 0, 3}, {3, 3, 2}, {1, 2, 3}});
  const auto results = [&](DType dtype, Index width, const auto& call) {
    Tape tape({.dtype = dtype});
    const Var weight = tape.variable(sample_values({5, width}).to(dtype)),
              positions = tape.variable(sample_values({6, width}, -1, 1, 2).to(dtype));
    const Var y = call(weight, positions);
    const Gradients g =
        tape.backward(y, {.consume = true, .cotangent = sample_values(y.shape(), -1, 1, 9).to(dtype)});
    return std::vector<Tensor>{y.value().clone(), g[weight].clone(), g[positions].clone()};
  };
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Index width : {1, 16, 21, 64}) {
      const double scale = std::sqrt(static_cast<double>(width) + 0.3);
      const auto one = results(dtype, width, [&](const Var& w, const Var& p) {
        return embed(w.tape(), ids, {w, 0}, {p}, {.scale = scale, .first = 2});
      });
      const auto three = results(dtype, width, [&](const Var& w, const Var& p) {
        return embedding(w, ids, 0) * scale + slice(p, 0, 2, 3);
      });
      for (std::size_t i = 0; i < one.size(); ++i) BOOST_TEST(identical(one[i], three[i]));
    }
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var weight = tape.full({3, 2}, 0), positions = tape.full({4, 2}, 0);
  const Tensor ids = Tensor::ids({{0, 1, 2}});
  BOOST_CHECK_EXCEPTION(embed(tape, Tensor::ids({{0, 3}}), {weight}, {positions}), Error,
                        says("embedding: id 3 at position [0, 1] is out of range for 3 rows"));
  BOOST_CHECK_EXCEPTION(embed(tape, ids, {weight}, {tape.full({4, 3}, 0)}), Error,
                        says("embedding_positions: positions [4, 3] and weight [3, 2] do not fit: positions "
                             "must be [length, 2]"));
  BOOST_CHECK_EXCEPTION(embed(tape, ids, {weight}, {positions}, {.first = 2}), Error,
                        says("positions: 5 time steps, but the table was made for at most 4"));
  BOOST_CHECK_EXCEPTION(embed(tape, Tensor::ids({0}, Shape{}), {weight}, {positions}), Error,
                        says("positions: ids must be [.., time], got []"));
  const std::string path = "table";
  BOOST_CHECK_EXCEPTION(
      embed(tape, ids, {weight, {}, &path}, {positions}), Error,
      says("embed: only the embeddings have a layer's path; give both parts a path, or neither"));
  BOOST_TEST(embed(tape, ids, {weight}, {positions}, {.first = 1}).size() == 6);
}

BOOST_AUTO_TEST_SUITE_END()
