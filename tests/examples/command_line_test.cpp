#include "examples/seq2seq/command_line.h"

#include <tapegrad/autograd/base/error.h>

#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>
#include <sstream>
#include <string>

using namespace tapegrad;
using namespace tapegrad::seq2seq;

namespace {

/// Words parted by spaces; `''` is an empty argument.
std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> arguments;
  for (std::string word; in >> word;) arguments.push_back(word == "''" ? "" : word);
  return arguments;
}

std::string failure(const std::string& line) {
  try {
    parse_command_line(words(line));
  } catch (const DataError& error) {
    return std::string("data: ") + error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

template <class Options>
Options parsed(const std::string& line) {
  return std::get<Options>(parse_command_line(words(line)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(command_line)

BOOST_AUTO_TEST_CASE(training) {
  const auto o = parsed<TrainOptions>(
      "train d.tsv --out run --valid v.tsv --source-tokens char --target-tokens space --d-model 64 --heads 2 "
      "--layers 1 --ff=99 --dropout .5 --batch 7 --lr 1e-4 --warmup 9 --label-smoothing 0 --epochs 3 "
      "--steps 11 --minutes 0.5 --seed 5 --threads 2 --resume --post-norm --tie-embeddings --activation gelu "
      "--positions learned --schedule inverse-sqrt --ema 0.99 --weight-decay 0 --clip 0 --patience 4 "
      "--valid-every 10 --log-every 1 --max-length 40 --attention szó");
  BOOST_TEST(o.data == "d.tsv");
  BOOST_TEST(o.out == "run");
  BOOST_TEST(o.valid == "v.tsv");
  BOOST_TEST((o.source_tokens == "char" && o.target_tokens == "space" && o.d_model == 64 && o.heads == 2));
  BOOST_TEST(
      (o.encoder_layers == 1 && o.decoder_layers == 1 && o.ff == 99 && o.dropout == 0.5 && o.batch == 7));
  BOOST_TEST((o.lr == 1e-4 && o.warmup == 9 && o.label_smoothing == 0 && o.epochs == 3 && o.steps == 11));
  BOOST_TEST(
      (o.minutes == 0.5 && o.seed == 5 && o.threads == 2 && o.resume && !o.norm_first && o.tie_embeddings));
  BOOST_TEST(
      (o.activation == "gelu" && o.positions == "learned" && o.schedule == "inverse-sqrt" && o.ema == 0.99));
  BOOST_TEST(
      (o.weight_decay == 0 && o.clip == 0 && o.patience == 4 && o.valid_every == 10 && o.log_every == 1));
  BOOST_TEST((o.max_length == 40 && o.attention == "szó"));
  BOOST_TEST(o.given.contains("ff"));
  BOOST_TEST(!o.given.contains("beta1"));
  BOOST_TEST(parsed<TrainOptions>("train --out run train").data == "train");
  BOOST_TEST(parsed<TrainOptions>("train --out run -- -odd.tsv").data == "-odd.tsv");
}

BOOST_AUTO_TEST_CASE(the_other_commands) {
  const auto e = parsed<EvaluateOptions>("evaluate a,b/c d.tsv --beam 4 --threads 2");
  BOOST_TEST(e.models == (std::vector<std::string>{"a", "b/c"}), boost::test_tools::per_element());
  BOOST_TEST((e.data == "d.tsv" && e.beam == 4 && e.threads == 2));
  const auto t = parsed<TranslateOptions>("translate m --attention a.svg");
  BOOST_TEST((t.model == "m" && t.beam == 1 && t.attention == "a.svg"));
  const auto explained = parsed<ExplainRunOptions>(
      "explain run --source ab --target ba --out p.html --text --json j --dot d --trace t --break no-sc "
      "--numeric all "
      "--title T --dropout --seed 3 --max-bytes 99");
  BOOST_TEST((explained.model == "run" && explained.source == "ab" && explained.target == "ba" &&
              explained.out == "p.html" && explained.text && explained.json == "j" && explained.dot == "d"));
  BOOST_TEST((explained.trace == "t" && explained.broken == "no-scale" && explained.numeric == "all" &&
              explained.title == "T" && explained.dropout && explained.seed == 3 &&
              explained.max_bytes == 99));
  BOOST_TEST(parsed<InspectOptions>("inspect x.safetensors").file == "x.safetensors");
}

BOOST_AUTO_TEST_CASE(help) {
  BOOST_TEST(parsed<HelpText>("--help").text.starts_with("usage: seq2seq COMMAND"));
  const std::string text = parsed<HelpText>("train --bogus --help").text;
  BOOST_TEST(text.find("Usage: seq2seq train [OPTIONS] DATA.tsv\n") != std::string::npos);
  BOOST_TEST(text.find("  --lr X                      greatest learning rate [0.001]\n") !=
             std::string::npos);
  BOOST_TEST(text.find("\n\n\n") == std::string::npos);
  for (const auto command : {"evaluate -h", "translate -h", "explain -h", "inspect -h"})
    BOOST_TEST(!parsed<HelpText>(command).text.empty());
}

BOOST_AUTO_TEST_CASE(unknown_names) {
  BOOST_TEST(
      failure("") ==
      "command missing, expected train, evaluate, translate, explain or inspect; seq2seq --help tells more");
  BOOST_TEST(failure("trian d.tsv") == "unknown command \"trian\", did you mean \"train\"?");
  BOOST_TEST(failure("summarise d") == "unknown command \"summarise\"");
  BOOST_TEST(failure("train d.tsv --out o --bacth 3") ==
             "train: unknown option \"--bacth\", did you mean \"--batch\"?");
  BOOST_TEST(failure("train --bacth=64 d.tsv --out o") ==
             "train: unknown option \"--bacth\", did you mean \"--batch\"?");
  BOOST_TEST(failure("train d.tsv --out o --sing") == "train: unknown option \"--sing\"");
  BOOST_TEST(failure("train d.tsv --out o -x") == "train: unknown option \"-x\"");
  BOOST_TEST(failure("evaluate a d.tsv --beem 3") ==
             "evaluate: unknown option \"--beem\", did you mean \"--beam\"?");
  BOOST_TEST(failure("train d.tsv e.tsv --out o") == "train: unexpected argument \"e.tsv\"");
}

BOOST_AUTO_TEST_CASE(missing_and_repeated) {
  BOOST_TEST(failure("train --out o") == "train: DATA.tsv missing; seq2seq train --help tells more");
  BOOST_TEST(failure("train d.tsv") == "train: --out missing, expected a folder for the results");
  BOOST_TEST(failure("evaluate a") == "evaluate: DATA.tsv missing; seq2seq evaluate --help tells more");
  BOOST_TEST(failure("train d.tsv --out o --lr") == "train: --lr: value missing");
  BOOST_TEST(failure("train d.tsv --lr= --out o") == "train: --lr: value missing");
  BOOST_TEST(failure("train d.tsv --out --lr 3") == "train: --out: value missing, got \"--lr\"");
  BOOST_TEST(failure("train d.tsv --out o --steps 1 --steps 2") ==
             "train: --steps: given twice, got \"1\" and \"2\"");
  BOOST_TEST(failure("train d.tsv --out o --resume --resume") == "train: --resume: given twice");
  BOOST_TEST(failure("train d.tsv --out o --resume=false") == "train: --resume: takes no value");
  BOOST_TEST(failure("train d.tsv --out o --norm-first --post-norm") ==
             "train: --norm-first: given together with --post-norm");
  BOOST_TEST(failure("train '' --out o") == "train: DATA.tsv: got \"\", expected text");
  BOOST_TEST(failure("train d.tsv --out ''") == "train: --out: got \"\", expected text");
}

BOOST_AUTO_TEST_CASE(values_out_of_range) {
  const auto with = [](const std::string& option) { return failure("train d.tsv --out o " + option); };
  BOOST_TEST(with("--steps=-1") == "train: --steps: got -1, expected a whole number of at least 0");
  BOOST_TEST(with("--steps=1e9999") ==
             "train: --steps: got \"1e9999\", expected a whole number of at least 0");
  BOOST_TEST(with("--steps 1e3") == "train: --steps: got 1e3, expected a whole number of at least 0");
  BOOST_TEST(with("--steps 3.0") == "train: --steps: got 3.0, expected a whole number of at least 0");
  BOOST_TEST(with("--batch 0") == "train: --batch: got 0, expected a whole number from 1 to 1048576");
  BOOST_TEST(with("--batch 1x") == "train: --batch: got \"1x\", expected a whole number from 1 to 1048576");
  BOOST_TEST(with("--lr -1") == "train: --lr: got -1, expected a number above 0");
  BOOST_TEST(with("--lr nan") == "train: --lr: got nan, expected a number above 0");
  BOOST_TEST(with("--lr 0,001") == "train: --lr: got \"0,001\", expected a number above 0");
  BOOST_TEST(with("--clip inf") == "train: --clip: got inf, expected a number of at least 0");
  BOOST_TEST(with("--dropout 1") == "train: --dropout: got 1, expected a number in [0, 1)");
  BOOST_TEST(
      with("--seed 18446744073709551616") ==
      "train: --seed: got 18446744073709551616, expected a whole number from 0 to 18446744073709551615");
  BOOST_TEST(with("--tokens bpe:500") == "train: --tokens: got \"bpe:500\", expected \"char\" or \"space\"");
  BOOST_TEST(with("--heads 3") ==
             "train: --heads: got 3, which does not divide --d-model 128, expected one of 1, 2, 4, 8, 16, "
             "32, 64, 128");
  BOOST_TEST(failure("train d.tsv --out d.tsv") == "train: --out: got \"d.tsv\", which is the data");
  BOOST_TEST(failure("evaluate a,,b d.tsv") ==
             "evaluate: DIR: got \"a,,b\", expected folders parted by single commas");
  BOOST_TEST(failure("evaluate a d.tsv --beam 0") ==
             "evaluate: --beam: got 0, expected a whole number from 1 to 1024");
  BOOST_TEST(failure("translate a --beam two") ==
             "translate: --beam: got \"two\", expected a whole number from 1 to 1024");
}

BOOST_AUTO_TEST_CASE(the_command_line_wins_over_the_config) {
  const test::ScratchFolder folder;
  const std::string path = folder.write(
      "c.json", R"({"d_model": 64, "heads": 2, "norm_first": true, "out": "from-config", "lr": 1})");
  const auto o = parsed<TrainOptions>("train d.tsv --lr 0.5 --post-norm --config " + path);
  BOOST_TEST((o.d_model == 64 && o.heads == 2 && o.lr == 0.5 && !o.norm_first && o.out == "from-config"));
  BOOST_TEST(o.config == path);
  const std::string bad = folder.write("bad.json", R"({"d_modle": 64})");
  BOOST_TEST(folder.without(failure("train d.tsv --out o --config " + bad)) ==
             "data: bad.json: unknown key \"d_modle\", did you mean \"d_model\"?");
}

BOOST_AUTO_TEST_SUITE_END()
