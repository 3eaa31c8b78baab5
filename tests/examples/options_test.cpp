#include "examples/seq2seq/options.h"

#include <tapegrad/autograd/base/error.h>

#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "examples/seq2seq/option_fields.h"

using namespace tapegrad;
using namespace tapegrad::seq2seq;
using namespace std::string_literals;

namespace {

std::string config_outcome(const std::string& text) {
  TrainOptions options;
  try {
    from_json(options, text, "c.json");
    return "ok";
  } catch (const DataError& error) {
    return error.what();
  }
}

std::string message(const std::function<void()>& act) {
  try {
    act();
  } catch (const DataError& error) {
    return "data: "s + error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_AUTO_TEST_CASE(json_keeps_what_shapes_the_model) {
  TrainOptions before;
  before.d_model = 64;
  before.lr = 0.1 + 0.2;
  before.seed = 18446744073709551615U;
  before.norm_first = false;
  before.schedule = "cosine";
  before.source_tokens = "space";
  before.out = "somewhere";
  before.threads = 7;
  before.minutes = 3;
  const std::string text = to_json(before);
  for (const auto absent : {"out", "threads", "minutes", "resume", "config", "attention", "valid\""}) {
    BOOST_TEST(text.find("\""s + absent) == std::string::npos);
  }
  TrainOptions after;
  from_json(after, text, "checkpoint");
  BOOST_TEST(to_json(after) == text);
  BOOST_TEST(after.lr == before.lr);
  BOOST_TEST(after.seed == before.seed);
  BOOST_TEST(after.out == "");
  BOOST_TEST(after.given.contains("d-model"));
}

BOOST_AUTO_TEST_CASE(keys_in_both_spellings) {
  TrainOptions options;
  from_json(options, R"({"d-model": 32, "label_smoothing": 0, "lr": 1})", "c.json");
  BOOST_TEST(options.d_model == 32);
  BOOST_TEST(options.label_smoothing == 0.0);
  BOOST_TEST(options.lr == 1.0);
  BOOST_TEST(config_outcome(R"({"d-model": 32, "d_model": 64})") == "c.json: key \"d_model\" stands twice");
}

BOOST_AUTO_TEST_CASE(config_errors) {
  const auto range = [](std::string_view key, std::string_view got, std::string_view expected) {
    return fmt::format("c.json: \"{}\": got {}, expected {}", key, got, expected);
  };
  BOOST_TEST(config_outcome(R"({"batches": 3})") ==
             "c.json: unknown key \"batches\", did you mean \"batch\"?");
  BOOST_TEST(config_outcome(R"({"dmodel": 3})") ==
             "c.json: unknown key \"dmodel\", did you mean \"d_model\"?");
  BOOST_TEST(config_outcome(R"({"colour": 3})") == "c.json: unknown key \"colour\"");
  BOOST_TEST(config_outcome(R"({"config": "x"})") == "c.json: unknown key \"config\"");
  BOOST_TEST(config_outcome(R"({"d_model": "64"})") ==
             range("d_model", "\"64\"", "a whole number from 1 to 65536"));
  BOOST_TEST(config_outcome(R"({"d_model": 64.0})") ==
             range("d_model", "64.0", "a whole number from 1 to 65536"));
  BOOST_TEST(config_outcome(R"({"steps": 1e3})") == range("steps", "1000.0", "a whole number of at least 0"));
  BOOST_TEST(config_outcome(R"({"steps": 9223372036854775808})") ==
             range("steps", "9223372036854775808", "a whole number of at least 0"));
  BOOST_TEST(config_outcome(R"({"batch": 0})") == range("batch", "0", "a whole number from 1 to 1048576"));
  BOOST_TEST(config_outcome(R"({"dropout": 1})") == range("dropout", "1", "a number in [0, 1)"));
  BOOST_TEST(config_outcome(R"({"dropout": -0.1})") == range("dropout", "-0.1", "a number in [0, 1)"));
  BOOST_TEST(config_outcome(R"({"lr": 0})") == range("lr", "0", "a number above 0"));
  BOOST_TEST(config_outcome(R"({"decay_factor": 0})") == range("decay_factor", "0", "a number in (0, 1]"));
  BOOST_TEST(config_outcome(R"({"norm_first": 1})") == range("norm_first", "1", "true or false"));
  BOOST_TEST(config_outcome(R"({"seed": -1})") ==
             range("seed", "-1", "a whole number from 0 to 18446744073709551615"));
  BOOST_TEST(config_outcome(R"({"valid": "a\u0000b"})") == range("valid", "\"a\\u{0000}b\"", "text"));
  BOOST_TEST(config_outcome(R"({"valid": null})") == range("valid", "null", "text"));
  BOOST_TEST(config_outcome(R"({"schedule": "warm"})") ==
             range("schedule", "\"warm\"", R"("constant", "linear", "inverse-sqrt", "cosine" or "step")"));
}

BOOST_AUTO_TEST_CASE(a_bad_config_changes_nothing) {
  TrainOptions options;
  BOOST_CHECK_THROW(from_json(options, R"({"d_model": 32, "batch": 0})", "c"), DataError);
  BOOST_TEST(options.d_model == TrainOptions{}.d_model);
  BOOST_TEST(options.given.empty());
}

BOOST_AUTO_TEST_CASE(config_files) {
  const test::ScratchFolder folder;
  TrainOptions options;
  read_config(options, folder.write("c.json", "{\n  \"layers\": 5\n}\n"));
  BOOST_TEST(options.layers == 5);
  const auto said = [&](const std::string& path) {
    return folder.without(message([&] { read_config(options, path); }));
  };
  BOOST_TEST(said(folder.write("bad.json", "{\n  \"layers\": 5,\n}\n")) ==
             "data: bad.json:3:1: not JSON, got \"}\\n\"");
  BOOST_TEST(said(folder.write("empty.json", "")) == "data: empty.json:1:1: not JSON, got the end");
  BOOST_TEST(said(folder.write("latin.json", "{\"valid\": \"caf\xE9\"}")) ==
             "data: latin.json:1:15: invalid UTF-8, got \\xE9, expected UTF-8 text");
  BOOST_TEST(said(folder.write("large.json", std::string(1 << 20, '\n') + "{}")) ==
             "data: large.json: file too large, got more than 1048576 bytes, expected at most that");
  BOOST_TEST(said(folder / "none.json") ==
             "data: none.json: cannot open, got \"No such file or directory\", expected a readable file");
}

BOOST_AUTO_TEST_CASE(resolving) {
  TrainOptions options;
  options.tokens = "space";
  options.source_tokens = "char";
  options.layers = 4;
  options.decoder_layers = 2;
  resolve(options);
  BOOST_TEST(options.source_tokens == "char");
  BOOST_TEST(options.target_tokens == "space");
  BOOST_TEST(options.encoder_layers == 4);
  BOOST_TEST(options.decoder_layers == 2);
  BOOST_TEST(options.epochs == 60);
  TrainOptions timed;
  timed.steps = 100;
  resolve(timed);
  BOOST_TEST(timed.epochs == 0);
  timed.d_model = 100;
  timed.heads = 8;
  BOOST_TEST(
      message([&] { resolve(timed); }) ==
      "--heads: got 8, which does not divide --d-model 100, expected one of 1, 2, 4, 5, 10, 20, 25, 50, 100");
  timed.d_model = 5040;
  timed.heads = 11;
  BOOST_TEST(message([&] { resolve(timed); }) ==
             "--heads: got 11, which does not divide --d-model 5040, expected one of 1, 2, 3, 4, 5, 6, 7, 8, "
             "9, 10, …");
  TrainOptions endless;
  endless.d_model = 1024;
  endless.max_length = 16383;  // a table of sinusoids of more than 2^24 values
  BOOST_TEST(message([&] { resolve(endless); }) ==
             "--max-length: got 16383, expected at most 16382 with --d-model 1024");
  endless.positions = "learned";
  BOOST_CHECK_NO_THROW(resolve(endless));
}

BOOST_AUTO_TEST_CASE(resuming) {
  TrainOptions saved;
  saved.d_model = 64;
  saved.patience = 3;
  resolve(saved);
  TrainOptions now;
  now.data = "moved.tsv";
  now.out = "run";
  now.threads = 2;
  now.steps = 500;
  now.given = {"out", "threads", "steps"};
  resolve(now);
  const TrainOptions result = resumed(saved, now);
  BOOST_TEST(result.d_model == 64);  // not said now: the checkpoint's
  BOOST_TEST(result.patience == 3);
  BOOST_TEST(result.steps == 500);
  BOOST_TEST(result.epochs == 0);
  BOOST_TEST(result.threads == 2);
  BOOST_TEST(result.data == "moved.tsv");
  now.given.insert("d-model");
  BOOST_TEST(
      message([&] { resumed(saved, now); }) ==
      "--d-model: got 128, but the checkpoint to resume has 64; leave it out, or train into another --out");
  now.d_model = 64;
  BOOST_TEST(resumed(saved, now).d_model == 64);
  TrainOptions same;
  BOOST_TEST(resumed(saved, same).epochs == 60);
}

BOOST_AUTO_TEST_CASE(every_option_survives_json) {
  for (const Field& field : train_fields()) {
    BOOST_TEST(find_field(field.name) == &field);
    BOOST_TEST(!field.help.empty());
    TrainOptions options;
    const JsonScalar value = value_of(options, field);
    if (const auto* text = std::get_if<std::string>(&value); text && text->empty()) continue;
    assign(options, field, value, "x");  // every default is in its range
    BOOST_TEST((value_of(options, field) == value));
  }
}

BOOST_AUTO_TEST_CASE(suggestions) {
  const std::vector<std::string> names = {"--batch", "--beta1", "--lr", "--label-smoothing"};
  BOOST_TEST(suggestion("--bacth", names) == ", did you mean \"--batch\"?");
  BOOST_TEST(suggestion("-batch", names) == ", did you mean \"--batch\"?");
  BOOST_TEST(suggestion("--label", names) == ", did you mean \"--label-smoothing\"?");
  BOOST_TEST(suggestion("--quux", names) == "");
}

BOOST_AUTO_TEST_SUITE_END()
