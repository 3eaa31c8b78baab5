#include <fcntl.h>
#include <fmt/format.h>
#include <tapegrad/autograd/base/error.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "examples/seq2seq/command_line.h"
#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/interrupt.h"

using namespace tapegrad;
using namespace tapegrad::seq2seq;

namespace {

/// Opens missing standard descriptors: a closed one would be reused for the next file opened, and messages
/// would be written to that file. Writes to a closed standard output still fail, as its replacement is
/// read-only.
void open_missing_descriptors() {
  for (int descriptor = 0; descriptor < 3; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) == -1) ::open("/dev/null", descriptor == 1 ? O_RDONLY : O_RDWR);
  }
}

struct Run {
  int operator()(const TrainOptions& options) const {
    std::signal(SIGPIPE, SIG_IGN);  // training continues after the reader of its messages has ended
    catch_interrupts();
    return run_train(options);
  }
  int operator()(const EvaluateOptions& options) const { return run_evaluate(options); }
  int operator()(const TranslateOptions& options) const { return run_translate(options); }
  int operator()(const ExplainRunOptions& options) const { return run_explain(options); }
  int operator()(const InspectOptions& options) const { return run_inspect(options); }
  int operator()(const HelpText& help) const {
    std::fputs(help.text.c_str(), stdout);
    return exit_ok;
  }
};

int fail(int code, const char* what) {
  std::fputs(fmt::format("seq2seq: {}\n", what).c_str(), stderr);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    open_missing_descriptors();
    const int code = std::visit(
        Run{}, parse_command_line(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc)));
    // A full disk shows only when the last buffer is written.
    return std::fflush(stdout) == 0 || code != exit_ok
               ? code
               : fail(exit_failure, "cannot write to standard output");
  } catch (const DataError& error) {
    return fail(exit_data, error.what());
  } catch (const SystemError& error) {
    return fail(exit_failure, error.what());
  } catch (const Error& error) {
    return fail(exit_usage, error.what());
  } catch (const std::bad_alloc&) {
    return fail(exit_failure, "out of memory");
  } catch (const std::exception& error) {
    return fail(exit_failure, error.what());
  }
}
