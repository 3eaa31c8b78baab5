#include "examples/seq2seq/command_line.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/autograd/inspect/explain/broken_rules.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "examples/seq2seq/option_fields.h"

namespace tapegrad::seq2seq {
namespace {

constexpr Range beam_range{.low = 1, .high = 1024}, thread_range{.low = 0, .high = 1024};

const std::vector<std::string> commands = {"train", "evaluate", "translate", "explain", "inspect"};

constexpr std::string_view usage =
    "usage: seq2seq COMMAND …\n\n"
    "  train DATA.tsv --out DIR [options]    learn from source<TAB>target lines\n"
    "  evaluate DIR[,DIR…] DATA.tsv          score one model, or several together\n"
    "  translate DIR < sources > outputs     translate lines\n"
    "  explain DIR --source … --target …     show one backward pass step by step, as a page\n"
    "  inspect FILE.safetensors              list the tensors of a file\n\n"
    "seq2seq COMMAND --help tells more.\n";

/// The command line, which CLI11 splits into arguments; their meaning and all messages are defined here.
class Arguments {
 public:
  Arguments(const std::string& command, const std::string& description)
      : app_(description, "seq2seq " + command), command_(command) {
    app_.allow_extras();
    app_.set_help_flag("-h,--help", "print this");
  }

  void positional(const std::string& name, const std::string& help) {
    add(name, "", help, "Arguments");
    positionals_.push_back(name);
  }
  void option(const std::string& name, const std::string& kind, const std::string& help,
              const std::string& group = "Options") {
    add("--" + name, kind, help, group);
    names_.push_back("--" + name);
  }
  void flag(const std::string& name, const std::string& help, const std::string& group) {
    flags_["--" + name] = app_.add_flag("--" + name, help)->group(group);
    names_.push_back("--" + name);
  }

  /// Returns false when help was requested. Throws Error on unknown, repeated or missing arguments.
  bool parse(const std::vector<std::string>& arguments) {
    for (const std::string& argument : arguments) {
      if (!argument.starts_with("--") || argument.find('=') != argument.size() - 1) continue;
      fail(fmt::format("{}: value missing", printable(argument.substr(0, argument.size() - 1))));
    }
    try {
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
      return false;
    } catch (const CLI::ArgumentMismatch&) {
      fail(fmt::format("{}: value missing", printable(arguments.back())));
    } catch (const CLI::ParseError& error) {
      fail(printable(error.what()));
    }
    check_values(arguments);
    check_extras();
    for (const std::string& name : positionals_) {
      if (!values_.contains(name))
        fail(fmt::format("{} missing; seq2seq {} --help tells more", name, command_));
    }
    return true;
  }

  /// The value of an option or positional, nullptr when it was not given.
  const std::string* value(const std::string& name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? nullptr : &at->second.front();
  }
  bool flagged(const std::string& name) const { return flags_.at("--" + name)->count() > 0; }
  std::int64_t integer(const std::string& name, const Range& range, std::int64_t otherwise) const {
    const std::string* text = value("--" + name);
    return text ? parse_integer(*text, range, fmt::format("{}: --{}", command_, name)) : otherwise;
  }
  std::string text(const std::string& name) const {
    const std::string* found = value(name);
    if (found && found->empty()) fail(fmt::format("{}: got \"\", expected text", name));
    return found ? *found : "";
  }
  /// CLI11's text with required arguments out of brackets and single empty lines.
  HelpText help() const {
    std::string text = app_.help();
    for (const std::string& name : positionals_) replace(text, "[" + name + "]", name);
    while (replace(text, "\n\n\n", "\n\n")) continue;
    return {text};
  }
  [[noreturn]] void fail(const std::string& what) const { throw Error(command_ + ": " + what); }

 private:
  static bool replace(std::string& text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    if (at != std::string::npos) text.replace(at, from.size(), to);
    return at != std::string::npos;
  }

  void add(const std::string& name, const std::string& kind, const std::string& help,
           const std::string& group) {
    app_.add_option(
            name,
            [this, name](const CLI::results_t& results) {
              values_[name] = results;
              return true;
            },
            help)
        ->type_name(kind)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(group);
  }

  /// `--NAME=VALUE` accepts any value; after `--NAME`, an argument that looks like an option is one.
  void check_values(const std::vector<std::string>& arguments) const {
    for (const auto& [name, values] : values_) {
      const bool said =
          std::find(arguments.begin(), arguments.end(), name + "=" + values[0]) != arguments.end();
      if (name.starts_with("--") && values[0].starts_with("--") && !said) {
        const bool option = std::find(names_.begin(), names_.end(), values[0]) != names_.end();
        fail(fmt::format("{}: value missing, got {}{}", name, in_quotes(values[0]),
                         option ? "" : fmt::format("; as a value it is written {}=…", name)));
      }
      if (values.size() > 1) {
        fail(fmt::format("{}: given twice, got {} and {}", name, in_quotes(values[0]), in_quotes(values[1])));
      }
    }
    for (const auto& [name, option] : flags_) {
      if (option->count() > 1) fail(fmt::format("{}: given twice", name));
      if (option->count() == 1 && option->results().front() != "true")
        fail(fmt::format("{}: takes no value", name));
    }
  }

  void check_extras() const {
    std::vector<std::string> extras = app_.remaining();
    if (const auto mark = std::find(extras.begin(), extras.end(), "--"); mark != extras.end())
      extras.erase(mark);
    const auto unknown = std::find_if(extras.begin(), extras.end(),
                                      [](const auto& e) { return e.size() > 1 && e.starts_with('-'); });
    if (unknown != extras.end()) {
      const std::string name = unknown->substr(0, unknown->find('='));
      fail(fmt::format("unknown option {}{}", in_quotes(name), suggestion(name, names_)));
    }
    if (!extras.empty()) fail(fmt::format("unexpected argument {}", in_quotes(extras.front())));
  }

  CLI::App app_;
  std::string command_;
  std::vector<std::string> names_, positionals_;
  std::map<std::string, std::vector<std::string>> values_;
  std::map<std::string, CLI::Option*> flags_;
};

/// The help text of an option: its choices and its default.
std::string described(const Field& field) {
  std::string text(field.help);
  if (!field.choices.empty()) text += fmt::format(": {}", field.choices);
  const JsonScalar value = value_of(TrainOptions{}, field);
  const auto* words = std::get_if<std::string>(&value);
  if (words && words->empty()) return text;
  if (std::holds_alternative<bool>(value) || to_json(value) == "0" || to_json(value) == "0.0") return text;
  return fmt::format("{} [{}]", text, words ? *words : to_json(value));
}

std::string kind_of(const Field& field) {
  if (std::holds_alternative<double TrainOptions::*>(field.member)) return "X";
  if (!std::holds_alternative<std::string TrainOptions::*>(field.member)) return "N";
  if (field.name == "out") return "DIR";
  return field.name == "valid" || field.name == "config" ? "FILE" : field.choices.empty() ? "TEXT" : "NAME";
}

Command parse_train(const std::vector<std::string>& rest) {
  Arguments arguments("train", "Learns from source<TAB>target lines; a source may stand on several lines.");
  arguments.positional("DATA.tsv", "source<TAB>target lines in UTF-8");
  for (const Field& field : train_fields()) {
    const std::string name(field.name), group(field.group);
    if (!std::holds_alternative<bool TrainOptions::*>(field.member)) {
      arguments.option(name, kind_of(field), described(field), group);
      continue;
    }
    arguments.flag(name, described(field), group);
    if (!field.negative.empty())
      arguments.flag(std::string(field.negative), fmt::format("not --{}", name), group);
  }
  if (!arguments.parse(rest)) return arguments.help();

  TrainOptions options;
  if (const std::string path = arguments.text("--config"); !path.empty()) read_config(options, path);
  for (const Field& field : train_fields()) {
    const std::string name(field.name), where = "train: --" + name;
    if (std::holds_alternative<bool TrainOptions::*>(field.member)) {
      const bool on = arguments.flagged(name),
                 off = !field.negative.empty() && arguments.flagged(std::string(field.negative));
      if (on && off) arguments.fail(fmt::format("--{}: given together with --{}", name, field.negative));
      if (on || off) assign(options, field, on, where);
    } else if (const std::string* text = arguments.value("--" + name)) {
      assign_text(options, field, *text, where);
    }
  }
  options.data = arguments.text("DATA.tsv");
  if (options.out.empty()) arguments.fail("--out missing, expected a folder for the results");
  if (options.out == options.data)
    arguments.fail(fmt::format("--out: got {}, which is the data", in_quotes(options.out)));
  try {
    resolve(options);
  } catch (const Error& error) {
    arguments.fail(error.what());
  }
  return options;
}

std::vector<std::string> split_models(const Arguments& arguments, const std::string& list) {
  std::vector<std::string> models;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    models.push_back(list.substr(begin, comma - begin));
    if (models.back().empty())
      arguments.fail(fmt::format("DIR: got {}, expected folders parted by single commas", in_quotes(list)));
    begin = comma + 1;
  }
  return models;
}

Command parse_evaluate(const std::vector<std::string>& rest) {
  Arguments arguments("evaluate",
                      "Translates the sources of a file and prints one line of JSON: examples, exact_match, "
                      "wer, per, seconds.");
  arguments.positional("DIR", "folder of a model; several, parted by commas, are an ensemble");
  arguments.positional("DATA.tsv", "source<TAB>target lines in UTF-8");
  arguments.option("beam", "N", "hypotheses kept; 1 is greedy [1]");
  arguments.option("threads", "N", "number of threads (0: all processors)");
  if (!arguments.parse(rest)) return arguments.help();
  return EvaluateOptions{.models = split_models(arguments, arguments.text("DIR")),
                         .data = arguments.text("DATA.tsv"),
                         .beam = arguments.integer("beam", beam_range, 1),
                         .threads = arguments.integer("threads", thread_range, 0)};
}

Command parse_translate(const std::vector<std::string>& rest) {
  Arguments arguments("translate", "Translates the lines of standard input to lines of standard output.");
  arguments.positional("DIR", "folder of a model");
  arguments.option("beam", "N", "hypotheses kept; 1 is greedy [1]");
  arguments.option("threads", "N", "number of threads (0: all processors)");
  arguments.option("attention", "FILE.svg",
                   "draw each head's attention for the first line that is not empty");
  if (!arguments.parse(rest)) return arguments.help();
  return TranslateOptions{.model = arguments.text("DIR"),
                          .beam = arguments.integer("beam", beam_range, 1),
                          .threads = arguments.integer("threads", thread_range, 0),
                          .attention = arguments.text("--attention")};
}

/// Each rule that `--break` knows, one a line.
std::string list_of_broken_rules() {
  std::string list;
  for (const BrokenRule& rule : broken_rules()) list += fmt::format("{}: {}\n", rule.name, rule.mistake);
  return list;
}

Command parse_explain(const std::vector<std::string>& rest) {
  Arguments arguments(
      "explain",
      "Runs one example through a model, forwards and backwards in f64, with the target as the decoder's\n"
      "input, and shows every value, every gradient and every rule. The loss is the mean cross-entropy\n"
      "of the target's tokens, without label smoothing.");
  arguments.positional("DIR", "folder of a model");
  arguments.option("source", "TEXT", "what the model reads");
  arguments.option("target", "TEXT", "what it should write");
  arguments.option("out", "FILE.html", "the explorer's page; it needs no network", "Results");
  arguments.flag("text", "the backward pass as text, to standard output", "Results");
  arguments.option("json", "FILE", "the recorded tape as JSON (docs/tape-1.schema.json)", "Results");
  arguments.option("dot", "FILE", "the graph, for graphviz", "Results");
  arguments.option("trace", "FILE", "times of all ops, for ui.perfetto.dev", "Results");
  arguments.option("break", "RULE", "make a backward rule wrong on purpose; `list` lists them");
  arguments.option(
      "numeric", "NAME",
      "gradients checked by finite differences: all, attn (of attention, and samples), none [attn]");
  arguments.option("title", "TEXT", "title of the page");
  arguments.flag("dropout", "drop values as in training", "Options");
  arguments.flag("time", "measure each op; the page then differs from run to run", "Options");
  arguments.option("seed", "N", "of --dropout [1]");
  arguments.option("max-bytes", "N", "the page leaves numbers out rather than become larger [2000000]");
  for (std::size_t i = 0; i < rest.size(); ++i)
    if (rest[i] == "--break=list" || (rest[i] == "list" && i > 0 && rest[i - 1] == "--break"))
      return HelpText{list_of_broken_rules()};
  if (!arguments.parse(rest)) return arguments.help();
  ExplainRunOptions o{.model = arguments.text("DIR"),
                      .source = arguments.text("--source"),
                      .target = arguments.text("--target"),
                      .out = arguments.text("--out"),
                      .json = arguments.text("--json"),
                      .dot = arguments.text("--dot"),
                      .trace = arguments.text("--trace"),
                      .text = arguments.flagged("text"),
                      .broken = arguments.text("--break"),
                      .title = arguments.text("--title"),
                      .dropout = arguments.flagged("dropout"),
                      .time = arguments.flagged("time")};
  for (const char* side : {"--source", "--target"})
    if (arguments.value(side) == nullptr) arguments.fail(fmt::format("{} missing, expected text", side));
  if (o.out.empty() && o.json.empty() && o.dot.empty() && o.trace.empty() && !o.text)
    arguments.fail(
        "nothing to write, expected --out FILE.html, --text, --json FILE, --dot FILE or --trace FILE");
  if (const std::string* numeric = arguments.value("--numeric")) o.numeric = *numeric;
  if (o.numeric != "all" && o.numeric != "attn" && o.numeric != "none")
    arguments.fail(fmt::format("--numeric: got {}, expected all, attn or none", in_quotes(o.numeric)));
  if (!o.broken.empty()) try {
      o.broken = find_broken_rule(o.broken).name;
    } catch (const Error& error) {
      arguments.fail(fmt::format("--break: {}", error.what()));
    }
  if (arguments.value("--seed") && !o.dropout)
    arguments.fail("--seed: given without --dropout, which alone draws from it");
  o.seed = static_cast<std::uint64_t>(arguments.integer("seed", {.low = 0, .high = 9e15}, 1));
  o.max_bytes = arguments.integer("max-bytes", {.low = 1, .high = 1e12}, o.max_bytes);
  return o;
}

Command parse_inspect(const std::vector<std::string>& rest) {
  Arguments arguments("inspect",
                      "Lists name, dtype and shape of every tensor of a safetensors file, and its metadata.");
  arguments.positional("FILE", "a .safetensors file");
  if (!arguments.parse(rest)) return arguments.help();
  return InspectOptions{arguments.text("FILE")};
}

}  // namespace

Command parse_command_line(const std::vector<std::string>& arguments) {
  expects(
      !arguments.empty(),
      "command missing, expected train, evaluate, translate, explain or inspect; seq2seq --help tells more");
  const std::string& command = arguments.front();
  if (command == "--help" || command == "-h" || command == "help") return HelpText{std::string(usage)};
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (command == "train") return parse_train(rest);
  if (command == "evaluate") return parse_evaluate(rest);
  if (command == "translate") return parse_translate(rest);
  if (command == "explain") return parse_explain(rest);
  if (command == "inspect") return parse_inspect(rest);
  throw Error(fmt::format("unknown command {}{}", in_quotes(command), suggestion(command, commands)));
}

}  // namespace tapegrad::seq2seq
