// bin/bench_step: its line, the batches it draws, PyTorch's losses from PyTorch's weights, its errors.
#include <tapegrad/nn/io/safetensors.h>

#include <tests/bench/program/batches.h>
#include <tests/support/malloc_count.h>
#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>

using namespace tapegrad;
using namespace tapegrad::test;
using nlohmann::json;

namespace {

const std::string golden = TAPEGRAD_SOURCE_DIR "/tests/bench/golden/init_S1.safetensors";

/// The line of a run that ends well.
json run(const std::vector<std::string>& arguments) {
  const ProgramResult result = run_program("bench_step", arguments);
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(result.out.find('\n') == result.out.size() - 1);  // one line
  return json::parse(result.out);
}

std::vector<std::string> keys(const json& line) {
  std::vector<std::string> found;
  for (const auto& item : line.items()) found.push_back(item.key());
  return found;  // sorted
}

void check_error(const std::vector<std::string>& arguments, int code, const std::string& message) {
  const ProgramResult result = run_program("bench_step", arguments);
  BOOST_TEST(result.code == code);
  BOOST_TEST(result.err == "bench_step: " + message + "\n");
  BOOST_TEST(result.out == "");
}

/// The golden file with one change, in a folder of its own.
struct Changed {
  ScratchFolder folder;
  TensorFile file = load_safetensors(golden);

  void check(const std::string& message) const {
    const std::string path = folder / "init.safetensors";
    save_safetensors(path, file);
    const ProgramResult result = run_program("bench_step", {"--size", "S1", "--init", path});
    BOOST_TEST(result.code == 65);
    BOOST_TEST(folder.without(result.err) == "bench_step: init.safetensors: " + message + "\n");
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_step)

BOOST_AUTO_TEST_CASE(a_timed_run_prints_one_line) {
  const json line = run({"--size", "S1", "--steps", "20", "--warmup", "5"});
  std::vector<std::string> expected = {
      "allocations", "backend",       "first_loss",  "first_step_s", "flops",       "fma_peak_gflops",
      "gflops",        "isa",         "last_loss",    "nodes",       "params",
      "peak_rss_mb", "share_of_peak", "size",        "step_ms",      "step_ms_min", "steps",
      "tape_bytes",  "threads",       "tokens_per_s"};
  if (!counts_allocations()) expected.erase(expected.begin());
  BOOST_TEST(keys(line) == expected, boost::test_tools::per_element());
  BOOST_TEST(line["backend"] == "tapegrad");
  BOOST_TEST(line["size"] == "S1");
  BOOST_TEST(line["threads"] == 1);
  BOOST_TEST(line["params"] == 44432);
  BOOST_TEST(line["steps"] == 20);
  const double ms = line["step_ms"], tokens = line["tokens_per_s"], gflops = line["gflops"];
  BOOST_TEST(line["step_ms_min"].get<double>() > 0);
  BOOST_TEST(line["step_ms_min"].get<double>() <= ms);
  BOOST_TEST(tokens == 10 / (1e-3 * ms), boost::test_tools::tolerance(1e-2));
  BOOST_TEST(gflops == 1e-6 * tapegrad::bench::step_flops(*tapegrad::bench::find_size("S1")) / ms,
             boost::test_tools::tolerance(2e-2));
  BOOST_TEST(line["share_of_peak"].get<double>() <= 1);
  BOOST_TEST(line["first_loss"].get<double>() > line["last_loss"].get<double>());
  BOOST_TEST(line["nodes"].get<int>() > 20);
  if (counts_allocations()) BOOST_TEST(line["allocations"] == 0.0);
}

BOOST_AUTO_TEST_CASE(a_size_may_be_changed) {
  const json line =
      run({"--size", "S1", "--steps",  "2", "--warmup", "0", "--d-model", "16", "--heads",      "2",
           "--ff",   "24", "--layers", "1", "--length", "7", "--batch",   "3",  "--vocabulary", "9"});
  constexpr tapegrad::bench::Size size = {"custom", 16, 2, 24, 1, 7, 3, 9, 0, 0};
  BOOST_TEST(line["size"] == "custom");
  BOOST_TEST(line["params"] == tapegrad::bench::parameter_count(size));
  BOOST_TEST(line["flops"] == tapegrad::bench::step_flops(size));
  BOOST_TEST(line["length"] == 7);
  BOOST_TEST(line["vocabulary"] == 9);
}

BOOST_AUTO_TEST_CASE(two_threads_train_as_one) {
  const json one = run({"--size", "S", "--steps", "3", "--warmup", "0", "--seed", "4"});
  const json two = run({"--size", "S", "--steps", "3", "--warmup", "0", "--threads", "2", "--seed", "4"});
  BOOST_TEST(two["threads"] == 2);
  BOOST_TEST(two["first_loss"].get<double>() == one["first_loss"].get<double>());
  BOOST_TEST(two["last_loss"].get<double>() == one["last_loss"].get<double>());
}

BOOST_AUTO_TEST_CASE(training_until_a_loss_counts_steps) {
  const json line = run({"--size", "S1", "--train-until", "2.7"});
  const std::vector<std::string> expected = {"backend",     "first_loss", "loss", "params",
                                             "peak_rss_mb", "seed",       "size", "steps_to_loss",
                                             "threads",     "wall_s"};
  BOOST_TEST(keys(line) == expected, boost::test_tools::per_element());
  BOOST_TEST(line["loss"].get<double>() < 2.7);
  BOOST_TEST(line["steps_to_loss"].get<int>() >= 10);
}

BOOST_AUTO_TEST_CASE(weights_of_pytorch_give_its_losses) {
  const std::string stored = load_safetensors(golden).metadata.at("losses");
  const json expected = json::parse(stored);
  for (const std::string threads : {"1", "2"}) {
    const json line =
        run({"--size", "S1", "--steps", "1", "--warmup", "0", "--threads", threads, "--init", golden});
    BOOST_TEST_REQUIRE(line["losses"].size() == 5u);
    for (std::size_t i = 0; i < 5; ++i)
      BOOST_TEST(std::abs(line["losses"][i].get<double>() - expected[i].get<double>()) < 1e-5,
                 "step " << i << ", " << threads << " threads: " << line["losses"][i] << " instead of "
                         << expected[i]);
  }
}

BOOST_AUTO_TEST_CASE(a_seed_draws_the_batches_of_numpy) {
  // numpy.random.default_rng(1).integers(3, 16, size=(32, 10), dtype=numpy.int64)
  tapegrad::bench::Batches batches(*tapegrad::bench::find_size("S"), 1);
  const tapegrad::bench::Batch first = batches.next(), second = batches.next();
  const std::vector<std::int64_t> source = {9, 9, 12, 15, 3, 4, 13, 15, 6, 7},
                                  target_in = {1, 9, 9, 12, 15, 3, 4, 13, 15, 6},
                                  next = {10, 8, 15, 15, 3, 11, 13, 12, 10, 9};
  const auto head = [](const std::vector<std::int64_t>& all) {
    return std::vector<std::int64_t>(all.begin(), all.begin() + 10);
  };
  BOOST_TEST(head(first.source) == source, boost::test_tools::per_element());
  BOOST_TEST(head(first.target_in) == target_in, boost::test_tools::per_element());
  BOOST_TEST(head(second.source) == next, boost::test_tools::per_element());
  // A seed of two words, and draws that Lemire's method refuses now and then.
  tapegrad::bench::NumpyRandom random(12345678901234);
  std::int64_t sum = 0;
  for (int i = 0; i < 10000; ++i) sum += random.integer(3, 1000);
  BOOST_TEST(sum == 5027764);
}

BOOST_AUTO_TEST_CASE(sizes_say_what_they_cost) {
  using namespace tapegrad::bench;
  BOOST_TEST(parameter_count(*find_size("S")) == 44432);
  BOOST_TEST(parameter_count(*find_size("M")) == 950848);
  BOOST_TEST(parameter_count(*find_size("L")) == 45677544);
  // By hand for S1: (10 tokens · (2 · 8192 + 2 · 12288 + 512) + 32 · 2 · 2 · (100 + 100 + 55)) multiply-adds
  BOOST_TEST(step_flops(*find_size("S1")) == 3.0 * 2 * (10 * 41472 + 32640));
}

BOOST_AUTO_TEST_CASE(wrong_use) {
  check_error({"--size", "Q"}, 2, "--size: got \"Q\", expected S, S1, M or L");
  check_error({"--threads", "0"}, 2, "--threads: got \"0\", expected a number of threads, 1 or more");
  check_error({"--steps", "0"}, 2, "--steps: got \"0\", expected a number of steps, 1 or more");
  check_error({"--warmup", "x"}, 2, "--warmup: got \"x\", expected a number of steps, 0 or more");
  check_error({"--seed", "-1"}, 2, "--seed: got \"-1\", expected a seed, 0 or more");
  check_error({"--steps", "3", "--train-until", "1"}, 2, "--steps excludes --train-until");
  check_error({"--step", "3"}, 2, "unknown option \"--step\", did you mean \"--steps\"?");
  check_error({"--init", "no/such.safetensors"}, 65,
              "no/such.safetensors: cannot be opened: No such file or directory");
}

BOOST_FIXTURE_TEST_CASE(wrong_batches, Changed) {
  file.tensors["data.source"] = Tensor({5, 2, 10}, DType::i64);
  check("data.source: got i64 [5, 2, 10], expected integers [steps, 1, 10]");
  file.tensors["data.source"] = Tensor({5, 1, 10});
  check("data.source: got f32 [5, 1, 10], expected integers [steps, 1, 10]");
  Tensor symbols = Tensor::full({2, 1, 10}, 15, DType::i64);
  symbols.data<Index>()[13] = 16;
  file.tensors["data.source"] = symbols;
  check("data.source: got 16 at [1, 0, 3], expected symbols 3 … 15");
}

BOOST_FIXTURE_TEST_CASE(wrong_weights, Changed) {
  file.tensors.erase("generator.bias");
  file.tensors["extra"] = Tensor({2});
  check(
      "2 tensors do not fit the model (1 missing, 1 unexpected):\n"
      "  no tensor 'generator.bias' of shape [16]\n"
      "  unknown tensor 'extra' of shape [2]");
}

BOOST_AUTO_TEST_SUITE_END()
