#pragma once
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>

#include <tapegrad/autograd/error.h>

namespace tapegrad::examples {

/// Parses the arguments and runs `body`. Wrong use ends with exit code 2, bad data with 65, anything else
/// that goes wrong with 1, always with one message `name: …` on standard error.
template <class F>
int run_program(const char* name, CLI::App& app, int argc, char** argv, F&& body) {
  const auto fail = [&](int code, const char* what) {
    fmt::print(stderr, "{}: {}\n", name, what);
    return code;
  };
  try {
    app.parse(argc, argv);
    body();
    return std::fflush(stdout) == 0 ? 0 : fail(1, "cannot write to standard output");
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(2, error.what());
  } catch (const DataError& error) {
    return fail(65, error.what());
  } catch (const Error& error) {
    return fail(2, error.what());
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}

}  // namespace tapegrad::examples
