#include <tapegrad/nn/io/safetensors.h>

#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>
#include <filesystem>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// A small trained model in DIR/run.
struct Trained {
  ScratchFolder folder;
  std::string data = folder.write("data.tsv", "ab\tAB\nba\tBA\nabc\tABC\ncab\tCAB\n"), run = folder / "run";

  Trained() {
    const ProgramResult result = train(run, {"--steps", "20"});
    BOOST_TEST_REQUIRE(result.code == 0, result.err);
  }
  ProgramResult train(const std::string& out, const std::vector<std::string>& more,
                      const std::string& file = "") const {
    std::vector<std::string> all = {"train",        file.empty() ? data : file,
                                    "--out",        out,
                                    "--d-model",    "8",
                                    "--heads",      "2",
                                    "--layers",     "1",
                                    "--ff",         "8",
                                    "--max-length", "12"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program("seq2seq", all);
  }
  void check(const ProgramResult& result, int code, const std::string& message) const {
    BOOST_TEST(result.code == code, result.err);
    BOOST_TEST(folder.without(result.err) == "seq2seq: " + message + "\n");
    BOOST_TEST(result.out == "");
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(seq2seq_errors)

BOOST_FIXTURE_TEST_CASE(training, Trained) {
  check(train(run, {}), 2,
        "train: --out: run/checkpoint.safetensors exists already; go on from it with --resume, or choose "
        "another folder");
  check(train(data, {}), 2, "train: --out: got " + ('"' + folder.without(data) + "\", which is the data"));
  check(train(run, {"--resume", "--seed", "5"}), 2,
        "--seed: got 5, but the checkpoint to resume has 1; leave it out, or train into another --out");
  const std::string other = folder.write("other.tsv", "a\tb\n");
  const ProgramResult changed = train(run, {"--resume"}, other);
  BOOST_TEST(changed.code == 65);
  BOOST_TEST(
      folder.without(changed.err)
          .starts_with(
              "seq2seq: other.tsv: not what run/checkpoint.safetensors was trained with, got 1 examples, "),
      changed.err);
  const ProgramResult unvalidated = train(run, {"--resume", "--valid", other});
  BOOST_TEST(
      folder.without(unvalidated.err)
          .starts_with(
              "seq2seq: --valid: not what run/checkpoint.safetensors was trained with, got 1 examples, "),
      unvalidated.err);
}

BOOST_FIXTURE_TEST_CASE(bad_data_leave_no_folder, Trained) {
  const std::string fresh = folder / "fresh";
  check(train(fresh, {}, folder.write("bad.tsv", "a\tb\nno tab\n")), 65,
        "bad.tsv:2:1: no tab, got \"no tab\", expected source<TAB>target");
  check(train(fresh, {}, folder.write("empty.tsv", "")), 65,
        "empty.tsv:1:1: no examples, got an empty file, expected lines of source<TAB>target");
  check(train(fresh, {}, folder.write("long.tsv", "a\tb\naaaaaaaaaaaaa\tb\n")), 65,
        "long.tsv:2:1: source too long, got 13 tokens, expected at most 12 (--max-length)");
  check(train(fresh, {"--valid", folder.write("bad.tsv", "a\t\n")}), 65,
        "bad.tsv:1:3: empty target, got \"\", expected text after the tab");
  check(train(fresh, {"--attention", "aaaaaaaaaaaaa"}), 65,
        "--attention: got a sentence of 13 tokens, expected 1 to 12");
  BOOST_TEST(!std::filesystem::exists(fresh));
}

BOOST_FIXTURE_TEST_CASE(models, Trained) {
  check(run_program("seq2seq", {"translate", folder / "nowhere"}), 65,
        "nowhere/model.safetensors: cannot be opened: No such file or directory");
  std::filesystem::create_directory(folder / "other");
  const std::string path = folder / "other/model.safetensors", good = contents(run + "/model.safetensors");
  const auto translate = [&] { return run_program("seq2seq", {"translate", folder / "other"}, "ab\n"); };
  TensorFile file = load_safetensors(run + "/model.safetensors");
  save_safetensors(path, {file.tensors, {}});
  check(translate(), 65,
        "other/model.safetensors: no metadata \"config\", expected a file written by seq2seq train");
  TensorFile fewer = file;
  fewer.tensors.erase("generator.bias");
  save_safetensors(path, fewer);
  check(translate(), 65, "other/model.safetensors: no tensor 'generator.bias' of shape [7]");
  TensorFile more = file;
  more.tensors.emplace("another", Tensor({2}));
  save_safetensors(path, more);
  check(translate(), 65, "other/model.safetensors: unknown tensor \"another\"");
  TensorFile wide = file;
  wide.tensors["src_emb.weight"] = Tensor({7, 4});
  save_safetensors(path, wide);
  check(translate(), 65,
        "other/model.safetensors: tensor 'src_emb.weight': got shape [7, 4], expected [7, 8]");
  folder.write("other/model.safetensors", std::string_view(good).substr(0, good.size() / 2));
  const ProgramResult half = translate();
  BOOST_TEST(half.code == 65, half.err);
}

BOOST_FIXTURE_TEST_CASE(translating, Trained) {
  const ProgramResult all = run_program("seq2seq", {"translate", run}, "ab\n\ncab\nzb\r\nba");
  BOOST_TEST_REQUIRE(all.code == 0, all.err);
  BOOST_TEST(all.err == "seq2seq: standard input:4: unknown token \"z\", read as <unk>\n");
  std::string alone;
  for (const char* line : {"ab", "", "cab", "zb", "ba"}) {
    const ProgramResult one =
        run_program("seq2seq", {"translate", run, "--threads", "1"}, std::string(line) + "\n");
    BOOST_TEST_REQUIRE(one.code == 0, one.err);
    alone += one.out;
  }
  BOOST_TEST(all.out == alone);
  const ProgramResult broken = run_program("seq2seq", {"translate", run}, "ab\nb\xff\n");
  BOOST_TEST(broken.code == 65);
  BOOST_TEST(broken.err.starts_with("seq2seq: standard input:2:2: "), broken.err);
  BOOST_TEST(broken.out == alone.substr(0, alone.find('\n') + 1));
  check(run_program("seq2seq", {"translate", run}, "aaaaaaaaaaaaa\n"), 65,
        "standard input:1:1: source too long, got 13 tokens, expected at most 12, the --max-length of "
        "training");
}

BOOST_FIXTURE_TEST_CASE(inspecting, Trained) {
  const ProgramResult result = run_program("seq2seq", {"inspect", run + "/model.safetensors"});
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(result.out.find("generator.bias  F32  [7]\n") != std::string::npos, result.out);
  BOOST_TEST(result.out.find("metadata source_vocabulary: [\"a\",\"b\",\"c\"]\n") != std::string::npos,
             result.out);
  check(run_program("seq2seq", {"inspect", folder.write("x.safetensors", "1234")}), 65,
        "x.safetensors: 4 bytes are too few for a safetensors file");
}

BOOST_AUTO_TEST_SUITE_END()
