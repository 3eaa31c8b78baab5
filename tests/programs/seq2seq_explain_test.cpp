#include <tapegrad/nn/io/safetensors.h>

#include <sys/wait.h>
#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <limits>

using namespace tapegrad::test;

namespace {

/// A small trained model in DIR/run, of which a token is a piece of HTML.
struct Trained {
  ScratchFolder folder;
  std::string run = folder / "run", page = folder / "page.html";

  Trained() {
    const std::string data = folder.write("data.tsv", "a b\tB A\nb </script><b>\tA B\n");
    const ProgramResult result =
        run_program("seq2seq", {"train", data, "--out", run, "--d-model", "8", "--heads", "2", "--layers",
                                "1", "--ff", "8", "--max-length", "6", "--tokens", "space", "--steps", "5"});
    BOOST_TEST_REQUIRE(result.code == 0, result.err);
    ::setenv("SOURCE_DATE_EPOCH", "86400", 1);
  }
  ~Trained() { ::unsetenv("SOURCE_DATE_EPOCH"); }
  ProgramResult explain(const std::vector<std::string>& more, const std::string& source = "a b",
                        const std::string& target = "B A") const {
    std::vector<std::string> all = {"explain", run, "--source", source, "--target", target};
    all.insert(all.end(), more.begin(), more.end());
    return run_program("seq2seq", all);
  }
  void refuses(const ProgramResult& result, int code, const std::string& message) const {
    BOOST_TEST(result.code == code, result.err);
    BOOST_TEST(folder.without(result.err) == "seq2seq: explain: " + message + "\n");
    BOOST_TEST(result.out == "");
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(seq2seq_explain)

BOOST_FIXTURE_TEST_CASE(writes_all_forms_twice_the_same, Trained) {
  const std::string json = folder / "page.json", dot = folder / "page.dot";
  const ProgramResult first = explain({"--out", page, "--json", json, "--dot", dot, "--text"});
  BOOST_TEST_REQUIRE(first.code == 0, first.err);
  BOOST_TEST(first.out.starts_with("a b → B A\nloss "), first.out.substr(0, 100));
  BOOST_TEST(first.out.find("DISAGREES") == std::string::npos);
  const std::string html = contents(page), tape = contents(json);
  BOOST_TEST(html.starts_with("<!doctype html>"));
  BOOST_TEST(html.find("\"date\":\"1970-01-02\"") != std::string::npos);
  BOOST_TEST(tape.starts_with("{\"schema\":\"tape/1\""));
  BOOST_TEST(contents(dot).starts_with("digraph"));
  const ProgramResult second = explain({"--out", page, "--json", json, "--text"});
  BOOST_TEST((contents(page) == html && contents(json) == tape && second.out == first.out));
}

BOOST_FIXTURE_TEST_CASE(tokens_stay_text, Trained) {
  const ProgramResult result = explain({"--out", page, "--numeric", "none"}, "b </script><b>");
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  const std::string html = contents(page);
  BOOST_TEST(html.find("</script><b>") == std::string::npos);
  BOOST_TEST(html.find("&lt;/script&gt;&lt;b&gt;") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(breaking_a_rule, Trained) {
  const ProgramResult result = explain({"--out", page, "--text", "--break", "softmax"});
  BOOST_TEST_REQUIRE(result.code == 0, result.err);
  BOOST_TEST(contents(page).find("\"broken\":\"softmax-diagonal-only\"") != std::string::npos);
  BOOST_TEST(result.out.find("rule broken on purpose: softmax-diagonal-only") != std::string::npos);
  BOOST_TEST(result.out.find("DISAGREES") != std::string::npos);
  const ProgramResult list = run_program("seq2seq", {"explain", "--break", "list"});
  BOOST_TEST(list.code == 0);
  BOOST_TEST(list.out.find("no-scale: The factor 1 / sqrt(d)") != std::string::npos);
  const ProgramResult unknown = explain({"--out", page, "--break", "nothing"});
  BOOST_TEST(unknown.code == 2);
  BOOST_TEST(
      unknown.err.starts_with(
          "seq2seq: explain: --break: unknown rule 'nothing', expected one of\n  softmax-diagonal-only: "),
      unknown.err);
}

BOOST_FIXTURE_TEST_CASE(dropout_is_drawn_from_the_seed, Trained) {
  const auto text = [&](const char* seed) {
    return explain({"--text", "--numeric", "none", "--dropout", "--seed", seed}).out;
  };
  const std::string one = text("1");
  BOOST_TEST(one.find("dropout") != std::string::npos);
  BOOST_TEST((one == text("1") && one != text("2")));
}

BOOST_FIXTURE_TEST_CASE(a_trace_of_times, Trained) {
  const std::string trace = folder / "trace.json";
  BOOST_TEST(explain({"--trace", trace}).code == 0);
  BOOST_TEST(contents(trace).find("\"traceEvents\"") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(times_are_measured_when_asked, Trained) {
  const std::string json = folder / "explained.json";
  BOOST_TEST(explain({"--json", json, "--numeric", "none"}).code == 0);
  const auto measured = [&] {
    const std::string text = contents(json);
    std::size_t count = 0;
    for (std::size_t at = text.find("\"t_fwd\":"); at != text.npos; at = text.find("\"t_fwd\":", at + 1))
      count += text.compare(at + 8, 4, "null") != 0;
    return count;
  };
  BOOST_TEST(measured() == 0u);
  BOOST_TEST(explain({"--json", json, "--numeric", "none", "--time"}).code == 0);
  BOOST_TEST(measured() > 50u);
}

BOOST_FIXTURE_TEST_CASE(wrong_use, Trained) {
  refuses(explain({}), 2,
          "nothing to write, expected --out FILE.html, --text, --json FILE, --dot FILE or --trace FILE");
  refuses(run_program("seq2seq", {"explain", run, "--source", "a", "--text"}), 2,
          "--target missing, expected text");
  refuses(explain({"--text", "--numeric", "some"}), 2, "--numeric: got \"some\", expected all, attn or none");
  refuses(explain({"--out", folder / "none/page.html"}), 2, "--out: no folder none");
  refuses(explain({"--text"}, ""), 2, "--source: got \"\", expected text");
  refuses(explain({"--text"}, " "), 65, "--source: got a text of 0 tokens, expected 1 to 6");
  refuses(explain({"--text"}, "a", "A A A A A A A"), 65, "--target: got a text of 7 tokens, expected 1 to 6");
  refuses(explain({"--text"}, "a z"), 65, "--source: token 2, \"z\", was not seen in training");
  refuses(explain({"--text"}, "a", "A b"), 65, "--target: token 2, \"b\", was not seen in training");
  BOOST_TEST(
      run_program("seq2seq", {"explain", folder / "none", "--source", "a", "--target", "A", "--text"}).code ==
      65);
}

BOOST_FIXTURE_TEST_CASE(outputs_that_would_overwrite, Trained) {
  const std::string model = contents(run + "/model.safetensors"),
                    checkpoint = run + "/checkpoint.safetensors";
  refuses(explain({"--json", run + "/model.safetensors"}), 2,
          "--json: run/model.safetensors is the model; choose another file");
  refuses(explain({"--dot", folder / "run/../run/checkpoint.safetensors"}), 2,
          "--dot: run/../run/checkpoint.safetensors is the checkpoint; choose another file");
  refuses(explain({"--out", page, "--json", folder / "./page.html"}), 2,
          "--json: ./page.html is the file of --out; choose another file");
  BOOST_TEST(explain({"--out", "page.html", "--trace", "./page.html"}).err ==
             "seq2seq: explain: --trace: ./page.html is the file of --out; choose another file\n");
  std::filesystem::create_symlink(run + "/model.safetensors", folder / "link");
  refuses(explain({"--out", folder / "link"}), 2, "--out: link is the model; choose another file");
  refuses(explain({"--json", "/dev/full"}), 2,
          "--json: /dev/full is not a regular file, which alone can be replaced");
  refuses(explain({"--json", "/dev/stdout", "--text"}), 2,
          "--json: /dev/stdout is the standard output, where --text goes");
  BOOST_TEST(!std::filesystem::exists(page));
  BOOST_TEST((contents(run + "/model.safetensors") == model && std::filesystem::exists(checkpoint)));
}

BOOST_FIXTURE_TEST_CASE(a_closed_standard_output, Trained) {
  const std::string script = folder.write(
      "closed.sh", "exec '" TAPEGRAD_BIN_DIR "/seq2seq' explain '" + run +
                       "' --source a --target A --text --numeric none >&- 2>'" + (folder / "err") + "'");
  const int status = std::system(("sh '" + script + "'").c_str());
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 1), status);
  BOOST_TEST(contents(folder / "err").ends_with("seq2seq: cannot write to standard output\n"));
}

BOOST_FIXTURE_TEST_CASE(no_sign_on_what_is_not_a_number, Trained) {
  tapegrad::TensorFile file = tapegrad::load_safetensors(run + "/model.safetensors");
  for (auto& [name, tensor] : file.tensors)
    if (name == "generator.bias") tensor.data<float>()[1] = -std::numeric_limits<float>::quiet_NaN();
  tapegrad::save_safetensors(run + "/model.safetensors", file);
  const ProgramResult result = explain({"--text", "--numeric", "none"});
  BOOST_TEST(result.out.find(" nan") != std::string::npos, result.err);
  BOOST_TEST(result.out.find("-nan") == std::string::npos, result.out);
}

BOOST_FIXTURE_TEST_CASE(a_seed_without_dropout_and_texts_like_options, Trained) {
  refuses(explain({"--text", "--seed", "3"}), 2,
          "--seed: given without --dropout, which alone draws from it");
  refuses(explain({"--text"}, "--> x"), 2,
          "--source: value missing, got \"--> x\"; as a value it is written --source=…");
  refuses(run_program("seq2seq", {"explain", run, "--source=--> x", "--target", "A", "--text"}), 65,
          "--source: token 1, \"-->\", was not seen in training");
}

BOOST_AUTO_TEST_SUITE_END()
