#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "tests/support/scratch.h"

namespace tapegrad::test {
namespace {

constexpr auto time_limit = std::chrono::minutes(10);

/// In the child: standard streams to files, then the program.
[[noreturn]] void become(const std::string& path, const std::vector<std::string>& arguments,
                         const std::string& in, const std::string& out, const std::string& err) {
  const auto redirect = [](const std::string& file, int flags, int descriptor) {
    const int opened = ::open(file.c_str(), flags, 0600);
    if (opened < 0 || ::dup2(opened, descriptor) < 0) ::_exit(126);
  };
  redirect(in, O_RDONLY, 0);
  redirect(out, O_WRONLY | O_CREAT | O_TRUNC, 1);
  redirect(err, O_WRONLY | O_CREAT | O_TRUNC, 2);
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(path.c_str(), argv.data());
  ::_exit(127);
}

/// `watch(pid)` is called again and again while the program runs.
ProgramResult run(const std::string& name, const std::vector<std::string>& arguments,
                  const std::string& input, const std::function<void(pid_t)>& watch) {
  const ScratchFolder scratch;
  const std::string in = scratch.write("in", input), out = scratch / "out", err = scratch / "err";
  const std::string path = std::string(TAPEGRAD_BIN_DIR) + "/" + name;
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid == 0) become(path, arguments, in, out, err);
  const auto end = std::chrono::steady_clock::now() + time_limit;
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) ::kill(pid, SIGKILL);
    watch(pid);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents(out), contents(err)};
}

}  // namespace

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments,
                          const std::string& input) {
  return run(name, arguments, input, [](pid_t) {});
}

ProgramResult interrupt_program(const std::string& name, const std::vector<std::string>& arguments,
                                const std::string& awaited, int count) {
  bool sent = false;
  return run(name, arguments, "", [&](pid_t pid) {
    std::ifstream file(awaited, std::ios::binary);
    if (sent || std::count(std::istreambuf_iterator<char>(file), {}, '\n') < count) return;
    ::kill(pid, SIGINT);
    sent = true;
  });
}

}  // namespace tapegrad::test
