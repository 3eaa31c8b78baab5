#pragma once
#include <string>
#include <vector>

namespace tapegrad::test {

struct ProgramResult {
  int code = 0;  ///< exit code, 128 + signal when a signal ended it
  std::string out, err;
};

/// Runs `bin/NAME` of this build with `arguments` and `input` on standard input, for at most two minutes.
ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments,
                          const std::string& input = "");

/// Runs the program as run_program does, and sends SIGINT when the file `awaited` has `count` lines.
ProgramResult interrupt_program(const std::string& name, const std::vector<std::string>& arguments,
                                const std::string& awaited, int count);

/// A whole file; fails the test when it cannot be read.
std::string contents(const std::string& path);

}  // namespace tapegrad::test
