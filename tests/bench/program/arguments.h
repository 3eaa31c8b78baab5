#pragma once
#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>

#include "sizes.h"

namespace tapegrad::bench {

/// What the command line of every program of the benchmark says.
struct Arguments {
  std::string size_name = "S", init;
  int threads = 1;
  std::optional<int> warmup, steps;
  std::optional<double> train_until;
  std::uint64_t seed = 1;

  const Size& size() const { return *find_size(size_name); }
};

namespace detail {

/// The complaint about a number below `least`, or nothing.
inline CLI::Validator at_least(double least, std::string expected) {
  return CLI::Validator(
      [least, expected = std::move(expected)](std::string& text) {
        double value = 0;
        const bool good = CLI::detail::lexical_cast(text, value) && value >= least;
        return good ? std::string() : "got \"" + text + "\", expected " + expected;
      },
      "");
}

}  // namespace detail

inline void add_options(CLI::App& app, Arguments& a) {
  app.add_option("--size", a.size_name, "S, S1 (S with one sequence), M or L")
      ->capture_default_str()
      ->check(CLI::Validator(
          [](std::string& name) {
            return find_size(name) != nullptr ? std::string()
                                              : "got \"" + name + "\", expected S, S1, M or L";
          },
          ""));
  app.add_option("--threads", a.threads, "threads; the process is pinned to as many processors")
      ->capture_default_str()
      ->check(detail::at_least(1, "a number of threads, 1 or more"));
  CLI::Option* warmup = app.add_option("--warmup", a.warmup, "untimed steps; default by size")
                            ->check(detail::at_least(0, "a number of steps, 0 or more"));
  CLI::Option* steps = app.add_option("--steps", a.steps, "timed steps; default by size")
                           ->check(detail::at_least(1, "a number of steps, 1 or more"));
  app.add_option("--seed", a.seed, "of the batches and of the initial weights")
      ->capture_default_str()
      ->check(detail::at_least(0, "a seed, 0 or more"));
  app.add_option(
         "--train-until", a.train_until,
         "instead of timing: train on fresh batches until the mean loss of the last 10 steps is below "
         "this, at most 20000 steps")
      ->check(detail::at_least(0, "a loss, 0 or more"))
      ->excludes(warmup)
      ->excludes(steps);
}

}  // namespace tapegrad::bench
