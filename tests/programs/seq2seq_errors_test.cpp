#include <tapegrad/nn/io/safetensors.h>

#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <limits>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// A small trained model in DIR/run.
struct Trained {
  ScratchFolder folder;
  std::string data = folder.write("data.tsv", "ab\tAB\nba\tBA\nabc\tABC\ncab\tCAB\n"), run = folder / "run";

  Trained() {
    const ProgramResult result = train(run, {"--steps", "20", "--log-every", "5"});
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
  check(translate(), 65, "other/model.safetensors: unknown tensor 'another' of shape [2]");
  more.tensors.erase("generator.bias");
  save_safetensors(path, more);
  check(translate(), 65,
        "other/model.safetensors: 2 tensors do not fit the model (1 missing, 1 unexpected):\n"
        "  no tensor 'generator.bias' of shape [7]\n"
        "  unknown tensor 'another' of shape [2]");
  TensorFile wide = file;
  wide.tensors["src_emb.weight"] = Tensor({7, 4});
  save_safetensors(path, wide);
  check(translate(), 65,
        "other/model.safetensors: tensor 'src_emb.weight': got shape [7, 4], expected [7, 8]");
  TensorFile broken = file;
  broken.tensors["generator.bias"].data<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  save_safetensors(path, broken);
  BOOST_TEST(folder.without(translate().err) ==
             "seq2seq: warning: other/model.safetensors: 1 NaN or infinite values in 1 tensors: "
             "'generator.bias'\n");
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
  const ProgramResult often = run_program("seq2seq", {"translate", run}, "zz\ny\nyz\n");
  BOOST_TEST(often.err ==
             "seq2seq: standard input:1: unknown token \"z\", read as <unk>\n"
             "seq2seq: standard input:2: unknown token \"y\", read as <unk>\n");
  const ProgramResult broken = run_program("seq2seq", {"translate", run}, "ab\nb\xff\n");
  BOOST_TEST(broken.code == 65);
  BOOST_TEST(broken.err.starts_with("seq2seq: standard input:2:2: "), broken.err);
  BOOST_TEST(broken.out == alone.substr(0, alone.find('\n') + 1));
  check(run_program("seq2seq", {"translate", run}, "aaaaaaaaaaaaa\n"), 65,
        "standard input:1:1: source too long, got 13 tokens, expected at most 12, the --max-length of "
        "training");
}

BOOST_FIXTURE_TEST_CASE(drawing_attention, Trained) {
  const std::string picture = folder / "attention.svg";
  const auto translate = [&](const std::string& input) {
    return run_program("seq2seq", {"translate", run, "--attention", picture}, input);
  };
  const ProgramResult empty = translate("\n\n");
  BOOST_TEST(empty.code == 0);
  BOOST_TEST(empty.err == "seq2seq: translate: --attention: nothing drawn, every line was empty\n");
  BOOST_TEST(empty.out == "\n\n");
  BOOST_TEST(!std::filesystem::exists(picture));
  const ProgramResult result = translate("\ncab\nab\n");
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(contents(picture).find(">cab → ") != std::string::npos);
  check(run_program("seq2seq", {"translate", run, "--attention", folder / "none/a.svg"}, "ab\n"), 2,
        "translate: --attention: no folder none");
}

/// Lets the file claim another configuration.
void claim(TensorFile& file, const std::string& from, const std::string& to) {
  std::string& config = file.metadata.at("config");
  const std::size_t at = config.find(from);
  BOOST_TEST_REQUIRE(at != std::string::npos, config);
  config.replace(at, from.size(), to);
}

BOOST_FIXTURE_TEST_CASE(a_small_file_that_claims_a_huge_network, Trained) {
  std::filesystem::create_directory(folder / "huge");
  const std::string path = folder / "huge/model.safetensors";
  TensorFile file = load_safetensors(run + "/model.safetensors");
  TensorFile wide = file;
  claim(wide, "\"d_model\":8", "\"d_model\":65536");
  claim(wide, "\"ff\":8", "\"ff\":1");
  const Index width = 65536;
  for (const char* name : {"src_emb.weight", "tgt_emb.weight", "generator.weight"})
    wide.tensors[name] = Tensor::zeros({wide.tensors[name].shape()[0], width});
  for (const char* side : {"encoder", "decoder"})
    wide.tensors[fmt::format("transformer.{}.layers.0.linear1.weight", side)] = Tensor::zeros({1, width});
  save_safetensors(path, wide);
  check(run_program("seq2seq", {"translate", folder / "huge"}), 65,
        "huge/model.safetensors: tensor 'transformer.encoder.layers.0.self_attn.in_proj_weight': got shape "
        "[24, 8], expected [196608, 65536]");
  TensorFile narrow = wide;
  claim(narrow, "\"max_length\":12", "\"max_length\":65536");
  save_safetensors(path, narrow);
  check(run_program("seq2seq", {"translate", folder / "huge"}), 65,
        "huge/model.safetensors: --max-length: got 65536, expected at most 254 with --d-model 65536");
}

BOOST_FIXTURE_TEST_CASE(a_refused_resume_keeps_the_log, Trained) {
  const std::string log = contents(run + "/metrics.jsonl"), path = run + "/checkpoint.safetensors";
  BOOST_TEST_REQUIRE(log != "");
  TensorFile file = load_safetensors(path);
  const auto state = std::find_if(file.tensors.begin(), file.tensors.end(),
                                  [](const auto& item) { return item.first.starts_with("optim."); });
  BOOST_TEST_REQUIRE((state != file.tensors.end()));
  state->second = Tensor::zeros({3, 1, 4});
  std::string& training = file.metadata.at("training");
  const std::size_t step = training.find("\"step\":20");
  BOOST_TEST_REQUIRE(step != std::string::npos);
  training.replace(step, 9, "\"step\":0");
  save_safetensors(path, file);
  const ProgramResult result = train(run, {"--resume", "--steps", "30"});
  BOOST_TEST(result.code == 65, result.err);
  BOOST_TEST(contents(run + "/metrics.jsonl") == log);
}

BOOST_FIXTURE_TEST_CASE(what_the_system_refuses, Trained) {
  std::filesystem::remove(run + "/loss.svg");
  std::filesystem::create_directory(run + "/loss.svg");
  const ProgramResult result = train(run, {"--resume", "--steps", "21"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(
      folder.without(result.err).find("seq2seq: run/loss.svg: cannot be put in place: Is a directory\n") !=
          std::string::npos,
      result.err);
  const ProgramResult endless = train("/tmp/" + std::string(300, 'x'), {"--resume"});
  BOOST_TEST(endless.code == 2);
  BOOST_TEST(endless.err.starts_with("seq2seq: train: --out: /tmp/xxx"), endless.err);
  BOOST_TEST(endless.err.ends_with("… cannot be looked at: File name too long\n"), endless.err);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their address space is huge
  const std::string program = std::string(TAPEGRAD_BIN_DIR) + "/seq2seq", err = folder / "err";
  const int status = std::system(
      fmt::format("ulimit -v 400000; echo ab | {} translate {} --threads 1000 2> {}", program, run, err)
          .c_str());
  BOOST_TEST(WEXITSTATUS(status) == 1);
  BOOST_TEST(contents(err).starts_with("seq2seq: threads: the system started "), contents(err));
#endif
}

BOOST_FIXTURE_TEST_CASE(inspecting, Trained) {
  const ProgramResult result = run_program("seq2seq", {"inspect", run + "/model.safetensors"});
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(result.out.find("generator.bias  F32  [7]\n") != std::string::npos, result.out);
  BOOST_TEST(result.out.find("metadata source_vocabulary: [\"a\",\"b\",\"c\"]\n") != std::string::npos,
             result.out);
  const std::string header =
      "{\"__metadata__\":{\"k\":\"v\"},"
      "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[0,4]},"
      "\"a\":{\"dtype\":\"I32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[4,8]},"
      "\"c\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]}}";
  TensorFile named{{{"a", Tensor({1})}}, {{"b", "a"}, {"c", "another"}}};
  save_safetensors(folder / "tied.safetensors", named);
  BOOST_TEST(run_program("seq2seq", {"inspect", folder / "tied.safetensors"}).out ==
             "a  F32  [1]\nb  tied to a\n1 tensors, 1 values\n"
             "metadata b: a\nmetadata c: another\nmetadata format: pt\n");
  const std::string length = {static_cast<char>(header.size()), 0, 0, 0, 0, 0, 0, 0};
  const ProgramResult foreign = run_program(
      "seq2seq", {"inspect", folder.write("y.safetensors", length + header + std::string(9, '\0'))});
  BOOST_TEST(foreign.code == 0, foreign.err);
  BOOST_TEST(foreign.out ==
             "a  I32  [1, 1, 1, 1, 1, 1, 1, 1, 1]\nb  BF16  [2, 1]\nc  U8  []\n3 tensors, 4 values\n"
             "metadata k: v\n");
  check(run_program("seq2seq", {"inspect", folder.write("x.safetensors", "1234")}), 65,
        "x.safetensors: 4 bytes are too few for a safetensors file");
}

BOOST_AUTO_TEST_SUITE_END()
