// The names that stay, by the one header <tapegrad/tapegrad.h> and `using namespace tapegrad`.
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(tapegrad_header)

BOOST_AUTO_TEST_CASE(the_names_that_stay) {
  ParameterStore params(1, DType::f64);
  const Scope scope = params.root() / "layer";
  const Parameter w = scope.parameter("weight", {2, 2}, [](Tensor& values, RandomKey) { values.fill(1); });
  w.update([](Tensor& t) { t += Tensor::full({2, 2}, 0.5, DType::f64); });
  const TapeOptions options{.dtype = DType::f64};
  Tape tape(options);
  const Var x = tape.variable({{1, 2}}), c = tape.constant({{3, 4}});
  const Var loss = sum(matmul(x, tape[w]) * c);
  BOOST_TEST(loss.item() == 3 * 1.5 * 7);
  const Gradients g = tape.backward(loss);
  BOOST_TEST(g[x].at({0, 1}) == 1.5 * 7);
  BOOST_TEST(g[w].at({1, 0}) == 6);
  const auto f = [](const std::vector<Var>& in) { return tanh(in[0]); };
  BOOST_TEST(gradcheck(f, {x.value()}).ok);
  BOOST_TEST(gradgradcheck(f, {x.value()}).ok);
  const std::string path = (std::filesystem::temp_directory_path() / "tapegrad_header.safetensors").string();
  save_safetensors(path, {.tensors = {{"w", w.value()}}, .metadata = {}});
  const auto file = load_safetensors(path);
  BOOST_TEST(identical(file.tensors.at("w"), w.value()));
  std::filesystem::remove(path);
}

BOOST_AUTO_TEST_SUITE_END()
