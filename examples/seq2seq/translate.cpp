#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/data/lines.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <set>
#include <stdexcept>

#include "examples/seq2seq/attention_picture.h"
#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/translator.h"
#include "examples/support/output_file.h"

namespace tapegrad::seq2seq {
namespace {

constexpr std::size_t lines_at_once = 512;
constexpr const char* input_name = "standard input";

/// Prints the first place of each unknown token.
void note_unknown(const Model& model, const std::string& text, std::int64_t line,
                  std::set<std::string>& noted) {
  for (const std::string& token : model.source_tokens.split(text)) {
    if (model.source.id(token) == Vocabulary::unk && noted.insert(token).second)
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
  if (!options.attention.empty())
    examples::expect_writable_folder("translate: --attention", options.attention);
  const std::unique_ptr<Model> model = load_model(options.model);
  Translator translate({model.get()}, options.beam, thread_count(options.threads));
  LineReader reader(0, input_name);
  const std::size_t most = ::isatty(0) ? 1 : lines_at_once;
  bool picture_due = !options.attention.empty();
  std::set<std::string> noted;
  for (bool more = true; more;) {
    std::vector<std::string> lines;
    std::exception_ptr error;  // of a line; the lines before it are translated first
    const std::int64_t before = reader.number();
    try {
      for (std::string line; lines.size() < most && (more = reader.next(line));) lines.push_back(line);
    } catch (const DataError&) {
      error = std::current_exception();
    }
    for (std::size_t i = 0; i < lines.size(); ++i)
      note_unknown(*model, lines[i], before + static_cast<std::int64_t>(i) + 1, noted);
    print(translate(lines, [&](std::size_t i) {
      return fmt::format("{}:{}:1", input_name, before + static_cast<std::int64_t>(i) + 1);
    }));
    if (picture_due) {
      const auto line = std::find_if(lines.begin(), lines.end(),
                                     [&](const auto& text) { return !model->encode_source(text).empty(); });
      if (line != lines.end()) draw_attention(*model, *line, options.attention);
      picture_due = line == lines.end();
    }
    if (error) std::rethrow_exception(error);
  }
  if (picture_due)
    std::fputs("seq2seq: translate: --attention: nothing drawn, every line was empty\n", stderr);
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
