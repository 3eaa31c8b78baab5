/// The frame of every example's `main`: arguments, exit codes and error messages.
#pragma once
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <tapegrad/autograd/parameter.h>

namespace tapegrad::examples {

/// The error text for arguments that `app` did not expect.
inline std::string unexpected_arguments(const CLI::App& app) {
  const std::vector<std::string> extras = app.remaining();
  const auto option = std::find_if(extras.begin(), extras.end(),
                                   [](const auto& e) { return e.size() > 1 && e.starts_with('-'); });
  if (option == extras.end())
    return fmt::format("unexpected argument \"{}\"", extras.empty() ? "" : extras.front());
  std::vector<std::string> names;
  for (const CLI::Option* known : app.get_options()) names.push_back(known->get_name());
  const std::string name = option->substr(0, option->find('=')), nearest = nearest_name(name, names);
  return fmt::format("unknown option \"{}\"{}", name,
                     nearest.empty() ? "; --help lists all" : fmt::format(", did you mean \"{}\"?", nearest));
}

/// Parses the arguments and runs `body`. The exit code is 2 for wrong use, 65 for bad data and 1 for any
/// other failure, always with one message `name: …` on standard error.
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
  } catch (const CLI::ExtrasError&) {
    return fail(2, unexpected_arguments(app).c_str());
  } catch (const CLI::ParseError& error) {
    return fail(2, error.what());
  } catch (const DataError& error) {
    return fail(65, error.what());
  } catch (const SystemError& error) {
    return fail(1, error.what());
  } catch (const Error& error) {
    return fail(2, error.what());
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}

}  // namespace tapegrad::examples
