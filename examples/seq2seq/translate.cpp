#include <tapegrad/nn/data/lines.h>
#include <tapegrad/nn/data/utf8.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>

#include "examples/seq2seq/attention_picture.h"
#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/translator.h"

namespace tapegrad::seq2seq {
namespace {

constexpr std::size_t lines_at_once = 512;
constexpr const char* input_name = "standard input";

void note_unknown(const Model& model, const std::string& text, std::int64_t line) {
  for (const std::string& token : model.source_tokens.split(text)) {
    if (model.source.id(token) == Vocabulary::unk)
      std::fputs(
          fmt::format("seq2seq: {}:{}: unknown token {}, read as <unk>\n", input_name, line, in_quotes(token))
              .c_str(),
          stderr);
  }
}

void print(const std::vector<std::string>& outputs) {
  std::string text;
  for (const std::string& output : outputs) (text += output) += '\n';
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw std::runtime_error("cannot write to standard output");
}

}  // namespace

int run_translate(const TranslateOptions& options) {
  const std::unique_ptr<Model> model = load_model(options.model);
  Translator translate({model.get()}, options.beam, thread_count(options.threads));
  LineReader reader(0, input_name);
  const std::size_t most = ::isatty(0) ? 1 : lines_at_once;
  std::optional<std::string> picture;
  if (!options.attention.empty()) picture = options.attention;
  for (bool more = true; more;) {
    std::vector<std::string> lines;
    std::exception_ptr error;  // of a line: those before it are answered first
    const std::int64_t before = reader.number();
    try {
      for (std::string line; lines.size() < most && (more = reader.next(line));) lines.push_back(line);
    } catch (const DataError&) {
      error = std::current_exception();
    }
    for (std::size_t i = 0; i < lines.size(); ++i)
      note_unknown(*model, lines[i], before + static_cast<std::int64_t>(i) + 1);
    if (picture && !lines.empty()) {
      draw_attention(*model, lines[0], *picture);
      picture.reset();
    }
    print(translate(lines, [&](std::size_t i) {
      return fmt::format("{}:{}:1", input_name, before + static_cast<std::int64_t>(i) + 1);
    }));
    if (error) std::rethrow_exception(error);
  }
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
