#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/train/sharded_step.h>

#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <regex>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::test;

namespace {

/// Forty made-up words and their reversals in capitals.
std::string pairs(int count, int from = 0) {
  std::string text;
  for (int i = from; i < from + count; ++i) {
    std::string source, target;
    for (int n = i * 37 + 11, k = 0; k < 2 + i % 5; ++k, n = n * 5 + 3)
      source += static_cast<char>('a' + n % 7);
    for (auto c = source.rbegin(); c != source.rend(); ++c) target += static_cast<char>(*c - 'a' + 'A');
    text += source + "\t" + target + "\n";
  }
  return text;
}

struct Training {
  ScratchFolder folder;
  std::string data = folder.write("data.tsv", pairs(40)), valid = folder.write("valid.tsv", pairs(10, 50));

  std::vector<std::string> arguments(const std::string& out, const std::vector<std::string>& more) const {
    const std::pair<const char*, const char*> defaults[] = {
        {"--d-model", "16"}, {"--heads", "2"}, {"--layers", "1"},    {"--ff", "24"},      {"--batch", "16"},
        {"--warmup", "10"},  {"--lr", "0.01"}, {"--log-every", "5"}, {"--dropout", "0.1"}};
    std::vector<std::string> all = {"train", data, "--out", folder / out};
    for (const auto& [name, value] : defaults)
      if (std::find(more.begin(), more.end(), name) == more.end()) all.insert(all.end(), {name, value});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult train(const std::string& out, const std::vector<std::string>& more) const {
    return run_program("seq2seq", arguments(out, more));
  }
  std::string model(const std::string& out) const { return contents(folder / (out + "/model.safetensors")); }
};

/// metrics.jsonl without times.
std::string metrics(const std::string& folder) {
  const std::string text = contents(folder + "/metrics.jsonl");
  return std::regex_replace(text, std::regex("\"(tokens_per_second|seconds)\":[^,}]*"), "");
}

void check_same_state(const std::string& a, const std::string& b) {
  const TensorFile one = load_safetensors(a), two = load_safetensors(b);
  BOOST_TEST(one.tensors.size() == two.tensors.size());
  for (const auto& [name, tensor] : one.tensors) {
    const auto other = two.tensors.find(name);
    BOOST_TEST((other != two.tensors.end() && identical(tensor, other->second)), name << " differs");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(seq2seq_train)

BOOST_FIXTURE_TEST_CASE(stopped_and_resumed_gives_the_same_bits, Training) {
  const std::vector<std::vector<std::string>> variants = {
      {"--schedule", "constant", "--threads", "1"},
      {"--schedule", "inverse-sqrt", "--threads", "2", "--ema", "0.9", "--valid", valid, "--valid-every", "7",
       "--patience", "100"}};
  int number = 0;
  for (auto options : variants) {
    const std::string whole = "whole" + std::to_string(number), halves = "halves" + std::to_string(number++);
    const auto with_steps = [&](const std::string& steps, bool resume) {
      auto all = options;
      all.insert(all.end(), {"--steps", steps});
      if (resume) all.push_back("--resume");
      return all;
    };
    const ProgramResult straight = train(whole, with_steps("60", false));
    BOOST_TEST_REQUIRE(straight.code == 0, straight.err);
    BOOST_TEST_REQUIRE(train(halves, with_steps("30", false)).code == 0);
    BOOST_TEST(model(whole) != model(halves));
    const ProgramResult second = train(halves, with_steps("60", true));
    BOOST_TEST_REQUIRE(second.code == 0, second.err);
    BOOST_TEST((model(whole) == model(halves)));
    BOOST_TEST(metrics(folder / whole) == metrics(folder / halves));
    check_same_state(folder / (whole + "/checkpoint.safetensors"),
                     folder / (halves + "/checkpoint.safetensors"));
  }
}

BOOST_FIXTURE_TEST_CASE(a_tied_weight_is_saved_once, Training) {
  const std::vector<std::string> options = {"--tie-embeddings", "--ema", "0.9", "--valid", valid,
                                            "--valid-every",    "4"};
  const auto until = [&](const std::string& steps) {
    auto all = options;
    all.insert(all.end(), {"--steps", steps, "--resume"});
    return all;
  };
  for (const char* steps : {"8", "12"}) {
    const ProgramResult result = train("tied", until(steps));
    BOOST_TEST_REQUIRE(result.code == 0, result.err);
  }
  const std::string path = folder / "tied/model.safetensors";
  const std::string listed = run_program("seq2seq", {"inspect", path}).out;
  BOOST_TEST(listed.find("\ngenerator.weight  tied to tgt_emb.weight\n") != std::string::npos, listed);
  const std::string all = run_program("seq2seq", {"inspect", folder / "tied/checkpoint.safetensors"}).out;
  for (const char* group : {"model", "ema", "best"})
    BOOST_TEST(all.find(fmt::format("\n{0}.generator.weight  tied to {0}.tgt_emb.weight\n", group)) !=
                   std::string::npos,
               all);
  // The other name alone serves as well, and both do.
  TensorFile file = load_safetensors(path);
  BOOST_TEST(!file.tensors.contains("generator.weight"));
  const ProgramResult expected = run_program("seq2seq", {"translate", folder / "tied"}, "ab\n");
  file.tensors["generator.weight"] = file.tensors.at("tgt_emb.weight").clone();
  file.metadata.erase("generator.weight");
  for (int round = 0; round < 2; ++round) {
    save_safetensors(path, file);
    const ProgramResult result = run_program("seq2seq", {"translate", folder / "tied"}, "ab\n");
    BOOST_TEST(result.code == 0, result.err);
    BOOST_TEST(result.out == expected.out);
    file.tensors.erase("tgt_emb.weight");
  }
}

BOOST_FIXTURE_TEST_CASE(interrupted_anywhere_and_resumed_gives_the_same_bits, Training) {
  const std::vector<std::string> options = {"--schedule", "cosine",        "--steps", "400",        "--valid",
                                            valid,        "--valid-every", "9",       "--patience", "30"};
  BOOST_TEST_REQUIRE(train("whole", options).code == 0);
  auto resumed = options;
  resumed.push_back("--resume");
  int interrupts = 0, code = 0;
  for (int round = 0; round < 4; ++round) {
    const ProgramResult part = interrupt_program("seq2seq", arguments("parts", resumed),
                                                 folder / "parts/metrics.jsonl", 4 + 20 * round);
    code = part.code;
    BOOST_TEST_REQUIRE((code == 0 || code == 130), part.err);
    interrupts += code == 130;
    if (code == 0) break;
  }
  BOOST_TEST(interrupts > 0);
  BOOST_TEST_REQUIRE(train("parts", resumed).code == 0);
  BOOST_TEST((model("whole") == model("parts")));
  check_same_state(folder / "whole/checkpoint.safetensors", folder / "parts/checkpoint.safetensors");
}

BOOST_FIXTURE_TEST_CASE(threads_change_no_bit, Training) {
  // Long words: a step is cut into several shards, or threads would have nothing to divide.
  std::string long_pairs;
  for (int i = 0; i < 40; ++i) {
    std::string word;
    for (int k = 0; k < 24; ++k) word += static_cast<char>('a' + (i * 31 + k * k * (i + 3)) % 7);
    long_pairs += word + "\t" + word + "\n";
  }
  const Index tokens = 40 * 25;  // a batch: every word with its eos
  BOOST_TEST_REQUIRE(shard_count(40, tokens, 100'000) > 1);
  folder.write("data.tsv", long_pairs);
  std::string first;
  for (const char* threads : {"1", "2", "4"}) {
    const ProgramResult result = train(
        threads, {"--steps", "20", "--batch", "40", "--ff", "32", "--threads", threads, "--valid", valid});
    BOOST_TEST_REQUIRE(result.code == 0, result.err);
    if (first.empty()) first = model(threads);
    BOOST_TEST((model(threads) == first));
  }
}

BOOST_FIXTURE_TEST_CASE(learns_and_fills_the_folder, Training) {
  const ProgramResult result = train("run", {"--steps", "300", "--dropout", "0", "--attention", "abc"});
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  for (const char* name :
       {"checkpoint.safetensors", "model.safetensors", "metrics.jsonl", "loss.svg", "attention.svg"})
    BOOST_TEST(std::filesystem::exists(folder / (std::string("run/") + name)), name);
  const ProgramResult score = run_program("seq2seq", {"evaluate", folder / "run", data});
  BOOST_TEST_REQUIRE(score.code == 0, score.err);
  BOOST_TEST(score.out.find("\"exact_match\":1.0,\"wer\":0.0,\"per\":0.0,") != std::string::npos, score.out);
  BOOST_TEST(score.out.find("\"beam\":1,\"models\":1}\n") != std::string::npos, score.out);
  const ProgramResult ensemble =
      run_program("seq2seq", {"evaluate", folder / "run," + folder / "run", data, "--beam", "3"});
  BOOST_TEST(ensemble.out.find("\"exact_match\":1.0") != std::string::npos, ensemble.out << ensemble.err);
}

BOOST_FIXTURE_TEST_CASE(real_words, Training) {
  const char* root = std::getenv("TAPEGRAD_DATA");
  const std::string words = std::string(root ? root : "") + "/sigmorphon2021_g2p_dev/hun_";
  if (!root || !std::filesystem::exists(words + "train.tsv")) {
    std::cout << "SKIP: $TAPEGRAD_DATA holds no sigmorphon2021_g2p_dev" << std::endl;
    return;
  }
  const std::string run = folder / "run";
  const ProgramResult trained = run_program(
      "seq2seq", {"train", words + "train.tsv", "--out", run, "--tokens", "char", "--target-tokens", "space",
                  "--steps", "30", "--log-every", "10", "--d-model", "32", "--ff", "64", "--layers", "1"});
  BOOST_TEST_REQUIRE(trained.code == 0, trained.err);
  BOOST_TEST(trained.err.starts_with("8000 examples, "), trained.err);
  const ProgramResult score = run_program("seq2seq", {"evaluate", run, words + "dev.tsv"});
  BOOST_TEST_REQUIRE(score.code == 0, score.err);
  BOOST_TEST(score.out.starts_with("{\"examples\":"), score.out);
  BOOST_TEST(score.out.find("\"wer\":") != std::string::npos, score.out);
}

BOOST_FIXTURE_TEST_CASE(ends_when_validation_gains_nothing, Training) {
  const std::vector<std::string> options = {"--steps", "900",        "--valid", valid,     "--valid-every",
                                            "6",       "--patience", "1",       "--resume"};
  BOOST_TEST_REQUIRE(train("run", options).code == 0);
  const std::string before = metrics(folder / "run");
  BOOST_TEST(before.find("\"step\":900,") == std::string::npos, before);
  BOOST_TEST_REQUIRE(train("run", options).code == 0);
  BOOST_TEST(metrics(folder / "run") == before);
}

BOOST_FIXTURE_TEST_CASE(a_loss_that_is_not_finite_ends_training, Training) {
  const ProgramResult result =
      train("run", {"--steps", "100", "--lr", "1e30", "--warmup", "0", "--clip", "0"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(result.err.find("seq2seq: training diverged at step 2: loss nan, gradient norm nan; no "
                             "checkpoint was saved yet; try a smaller --lr (now ") != std::string::npos,
             result.err);
}

BOOST_AUTO_TEST_SUITE_END()
