#include <tapegrad/nn/io/safetensors.h>

#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <regex>
#include <thread>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Words and their reversals; one token would be markup if it were not escaped.
struct Reporting {
  ScratchFolder folder;
  std::string data = folder.write("data.tsv", pairs());

  static std::string pairs() {
    std::string text = "<a\"b>cdefgh\thgfedc>b\"a<\n";
    for (int i = 0; i < 40; ++i) {
      std::string word;
      for (int n = i * 37 + 11, k = 0; k < 3 + i % 6; ++k, n = n * 5 + 3)
        word += static_cast<char>('a' + n % 7);
      text += word + "\t" + std::string(word.rbegin(), word.rend()) + "\n";
    }
    return text;
  }
  ProgramResult train(const std::string& out, const std::vector<std::string>& more) const {
    const std::pair<std::string, std::string> defaults[] = {
        {"--d-model", "16"}, {"--heads", "2"},  {"--ff", "24"},
        {"--layers", "1"},   {"--batch", "16"}, {"--warmup", "10"},
        {"--patience", "9"}, {"--valid", data}, {"--valid-every", "15"}};
    std::vector<std::string> all = {"train", data, "--out", folder / out};
    for (const auto& [name, value] : defaults)
      if (std::find(more.begin(), more.end(), name) == more.end()) all.insert(all.end(), {name, value});
    all.insert(all.end(), more.begin(), more.end());
    return run_program("seq2seq", all);
  }
  std::string file(const std::string& name) const { return contents(folder / name); }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder / name); }
};

std::string metrics(const std::string& text) {
  return std::regex_replace(text, std::regex("\"(tokens_per_second|seconds)\":[^,}]*"), "");
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++found;
  return found;
}

bool same_tensors(const std::string& a, const std::string& b) {
  const TensorFile one = load_safetensors(a), two = load_safetensors(b);
  return one.tensors.size() == two.tensors.size() &&
         std::all_of(one.tensors.begin(), one.tensors.end(), [&](const auto& entry) {
           const auto other = two.tensors.find(entry.first);
           return other != two.tensors.end() && identical(entry.second, other->second);
         });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(seq2seq_report)

BOOST_FIXTURE_TEST_CASE(fills_the_folder_and_prints, Reporting) {
  const ProgramResult result = train("run", {"--steps", "40", "--lr", "0.01", "--report"});
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(result.out.empty());
  const std::string page = file("run/report.html");
  BOOST_TEST(page.starts_with("<!doctype html>"));
  BOOST_TEST(count(page, "<script") == 2U);
  BOOST_TEST(page.find("<a\"b>") == std::string::npos);
  BOOST_TEST(page.find("\"\\u003c\"") != std::string::npos);  // the token of the watched example
  const std::string log = file("run/report.jsonl");
  BOOST_TEST(log.starts_with("{\"kind\":\"start\",\"watched\":{\"schema\":\"timeline/1\","));
  BOOST_TEST(count(log, "{\"kind\":\"initial\",") == 1U);
  BOOST_TEST(count(log, "{\"kind\":\"sample\",") == 9U);    // steps 1, 5, 10 … 40
  BOOST_TEST(count(log, "{\"kind\":\"snapshot\",") == 9U);  // steps 0, 5 … 40
  BOOST_TEST(count(log, "{\"kind\":\"valid\",") == 2U);  // steps 15 and 30; the last is outside their order
  // Every line but the last maps' stands in the page as it is.
  for (std::size_t begin = 0, end; (end = log.find('\n', begin)) != log.npos; begin = end + 1) {
    const std::string line = log.substr(begin, end - begin), kind = "{\"kind\":\"sample\",";
    if (line.starts_with(kind))
      BOOST_TEST(page.find("{" + line.substr(kind.size())) != std::string::npos, line);
  }
  for (const char* said :
       {"parameter", "transformer.encoder.layers.*.linear1.weight", "activation std", "\nloss   ",
        "\ngradient norm ", "\nupdate / weight", "\nattention entropy", "\ndead heads              "})
    BOOST_TEST(result.err.find(said) != std::string::npos, said << " is not in " << result.err);
}

BOOST_FIXTURE_TEST_CASE(without_it_nothing_is_made, Reporting) {
  const ProgramResult result = train("run", {"--steps", "3"});
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(!exists("run/report.html"));
  BOOST_TEST(!exists("run/report.jsonl"));
  BOOST_TEST(result.err.find("gradient norm") == std::string::npos, result.err);
}

BOOST_FIXTURE_TEST_CASE(changes_no_bit_of_training, Reporting) {
  BOOST_TEST_REQUIRE(train("plain", {"--steps", "40", "--threads", "1"}).code == 0);
  for (const char* threads : {"1", "2"}) {
    const std::string out = std::string("seen") + threads;
    BOOST_TEST_REQUIRE(train(out, {"--steps", "40", "--threads", threads, "--report"}).code == 0);
    BOOST_TEST((file(out + "/model.safetensors") == file("plain/model.safetensors")));
    BOOST_TEST(
        same_tensors(folder / (out + "/checkpoint.safetensors"), folder / "plain/checkpoint.safetensors"));
    BOOST_TEST(metrics(file(out + "/metrics.jsonl")) == metrics(file("plain/metrics.jsonl")));
  }
  BOOST_TEST((file("seen1/report.jsonl") == file("seen2/report.jsonl")));
}

BOOST_FIXTURE_TEST_CASE(resuming_goes_on_with_the_history, Reporting) {
  const auto halves = [&](const std::string& steps) {
    return train("halves", {"--steps", steps, "--schedule", "constant", "--report", "--resume"});
  };
  BOOST_TEST_REQUIRE(train("whole", {"--steps", "60", "--schedule", "constant", "--report"}).code == 0);
  BOOST_TEST_REQUIRE(halves("32").code == 0);
  // The files of a run that ended without saving: lines beyond the checkpoint, and half a line.
  folder.write("halves/report.jsonl",
               file("halves/report.jsonl") + "{\"kind\":\"valid\",\"step\":33,\"loss\":1}\n{\"kind\":\"sam");
  const ProgramResult second = halves("60");
  BOOST_TEST_REQUIRE(second.code == 0, second.err);
  BOOST_TEST(folder.without(second.err)
                     .find("seq2seq: warning: halves/report.jsonl: 1 line is left out, not readable\n") !=
                 std::string::npos,
             second.err);
  BOOST_TEST((file("halves/report.jsonl") == file("whole/report.jsonl")));
  BOOST_TEST((file("halves/report.html") == file("whole/report.html")));
}

BOOST_FIXTURE_TEST_CASE(damaged_lines_are_told_of, Reporting) {
  const auto resumed = [&](const std::string& log, const std::string& steps) {
    folder.write("run/report.jsonl", log);
    return folder.without(train("run", {"--steps", steps, "--report", "--resume"}).err);
  };
  BOOST_TEST_REQUIRE(train("run", {"--steps", "32", "--report"}).code == 0);
  std::string log = file("run/report.jsonl");
  for (std::size_t at = 0, i = 0; i < 2; ++i) log[at = log.find("\"gradient\":[", at + 1)] = '\xff';
  const std::string some = resumed(log, "33");
  BOOST_TEST(
      some.find("warning: run/report.jsonl: 2 lines are left out, not readable\n") != std::string::npos,
      some);
  const std::string none = resumed(file("run/report.jsonl"), "34");
  BOOST_TEST(none.find("left out") == std::string::npos, none);
  log = file("run/report.jsonl");
  const std::string all = resumed("?" + log, "35");
  BOOST_TEST(all.find(fmt::format("warning: run/report.jsonl: {} lines are left out, the first does not name "
                                  "what is watched now\n",
                                  count(log, "\n"))) != std::string::npos,
             all);
}

/// Makes the page of a training impossible to write once the training has begun; `ready` is there then.
struct Spoiling : Reporting {
  std::string page = folder / "run/report.html";
  std::jthread spoiler{[this](const std::stop_token& stop) {
    while (!stop.stop_requested() && !exists("run/loss.svg")) {
      std::ifstream log(folder / "run/metrics.jsonl");
      if (std::string line; std::getline(log, line)) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::error_code ignored;
    std::filesystem::remove(page, ignored);
    std::filesystem::create_directory(page, ignored);
    folder.write("ready", "\n");
  }};
  /// The program's message about it.
  std::string failure() const { return page + ": cannot be put in place: Is a directory\n"; }
};

BOOST_FIXTURE_TEST_CASE(a_report_that_fails_costs_no_checkpoint, Spoiling) {
  const ProgramResult result =
      interrupt_program("seq2seq",
                        {"train", data, "--out", folder / "run", "--d-model", "16", "--heads", "2", "--ff",
                         "24", "--layers", "1", "--steps", "1000000", "--log-every", "1", "--report"},
                        folder / "ready", 1);
  BOOST_TEST(result.code == 130, result.err);
  BOOST_TEST((exists("run/checkpoint.safetensors") && exists("run/model.safetensors")));
  BOOST_TEST(std::regex_search(result.err,
                               std::regex("seq2seq: warning: no more is reported from step [0-9]+ on: ")),
             result.err);
  BOOST_TEST(count(result.err, failure()) == 1U, result.err);
}

BOOST_FIXTURE_TEST_CASE(a_report_that_fails_shows_in_the_code_at_the_end, Spoiling) {
  const ProgramResult result =
      train("run", {"--steps", "1000000", "--minutes", "0.05", "--log-every", "1", "--report"});
  BOOST_TEST(result.code == 1, result.err);
  BOOST_TEST((exists("run/checkpoint.safetensors") && exists("run/model.safetensors")));
  BOOST_TEST(result.err.ends_with("seq2seq: model and checkpoint are saved, the report is not: " + failure()),
             result.err);
  // When the report fails before the first step, nothing is trained.
  const std::string before = file("run/metrics.jsonl");
  const ProgramResult again =
      train("run", {"--steps", "1000000", "--minutes", "0.05", "--log-every", "1", "--resume", "--report"});
  BOOST_TEST(again.code == 1, again.err);
  BOOST_TEST(again.err.ends_with("seq2seq: " + failure()), again.err);
  BOOST_TEST((file("run/metrics.jsonl") == before));
}

BOOST_FIXTURE_TEST_CASE(a_run_that_had_none_begins_one_when_resumed, Reporting) {
  BOOST_TEST_REQUIRE(train("run", {"--steps", "12"}).code == 0);
  BOOST_TEST_REQUIRE(train("run", {"--steps", "20", "--resume", "--report"}).code == 0);
  const std::string log = file("run/report.jsonl");
  BOOST_TEST(count(log, "{\"kind\":\"initial\",") == 0U);
  BOOST_TEST(count(log, "{\"kind\":\"sample\",") == 2U);  // steps 15 and 20
  BOOST_TEST(file("run/report.html").find("\"initial\":null") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_loss_that_is_not_finite_leaves_the_last_checkpoint, Reporting) {
  BOOST_TEST_REQUIRE(train("run", {"--steps", "6", "--lr", "1e30", "--warmup", "0", "--clip", "0"}).code ==
                     1);
  BOOST_TEST(!exists("run/checkpoint.safetensors"));
  const std::vector<std::string> options = {"--schedule", "constant", "--clip", "0", "--report", "--resume"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), options.begin(), options.end());
    return train("good", more);
  };
  BOOST_TEST_REQUIRE(with({"--steps", "4"}).code == 0);
  const std::string before = file("good/checkpoint.safetensors"), model = file("good/model.safetensors");
  // This checkpoint with a weight too large for f32's products.
  std::string poisoned = before;
  const std::size_t config = poisoned.find("\\\"lr\\\":0.001");
  BOOST_TEST_REQUIRE(config != std::string::npos);
  poisoned.replace(config, 12, "\\\"lr\\\":1e+30");
  folder.write("good/checkpoint.safetensors", poisoned);
  const ProgramResult result = with({"--steps", "40"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(result.err.find(
                 "seq2seq: training diverged at step 6: loss nan, gradient norm nan; the last checkpoint "
                 "is of step 4; ") != std::string::npos,
             result.err);
  BOOST_TEST(result.err.find("--check names the first op that makes a NaN or an infinity\n") !=
             std::string::npos);
  BOOST_TEST((file("good/checkpoint.safetensors") == poisoned));
  BOOST_TEST((file("good/model.safetensors") == model));
  BOOST_TEST(exists("good/report.html"));
}

BOOST_FIXTURE_TEST_CASE(check_names_the_op, Reporting) {
  const ProgramResult result = train(
      "run", {"--steps", "20", "--lr", "1e30", "--warmup", "0", "--clip", "0", "--check", "--threads", "2"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(
      std::regex_search(result.err, std::regex("seq2seq: training stopped at step 2: .*transformer\\.")),
      result.err);
  BOOST_TEST(result.err.find("no checkpoint was saved yet\n") != std::string::npos, result.err);
  BOOST_TEST(!exists("run/checkpoint.safetensors"));
  BOOST_TEST(!exists("run/model.safetensors"));
  const ProgramResult well = train("well", {"--steps", "3", "--check"});
  BOOST_TEST(well.code == 0, well.err);
  BOOST_TEST_REQUIRE(train("plain", {"--steps", "3"}).code == 0);
  BOOST_TEST((file("well/model.safetensors") == file("plain/model.safetensors")));
}

BOOST_FIXTURE_TEST_CASE(an_update_that_overflows_at_the_end_is_not_saved, Reporting) {
  const ProgramResult result = train("run", {"--steps", "1", "--schedule", "constant", "--lr", "1e39",
                                             "--warmup", "0", "--clip", "0", "--valid-every", "100"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(
      std::regex_search(
          result.err,
          std::regex(
              "seq2seq: training diverged at step 1: \\S+ is not finite after the update, at element")),
      result.err);
  BOOST_TEST(!exists("run/checkpoint.safetensors"));
  BOOST_TEST(!exists("run/model.safetensors"));
}

BOOST_AUTO_TEST_SUITE_END()
