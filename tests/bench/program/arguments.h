#pragma once
#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "sizes.h"

namespace tapegrad::bench {

/// The command-line arguments of every program of the benchmark.
struct Arguments {
  std::string size_name = "S", init;
  int threads = 1;
  std::optional<int> warmup, steps;
  std::optional<double> train_until;
  std::uint64_t seed = 1;
  std::optional<std::int64_t> d_model, heads, ff, layers, length, batch, vocabulary;  // instead of the size's

  Size size() const {
    Size size = *find_size(size_name);
    for (const auto& [given, field] : {std::pair{&d_model, &size.d_model},
                                       {&heads, &size.heads},
                                       {&ff, &size.ff},
                                       {&layers, &size.layers},
                                       {&length, &size.length},
                                       {&batch, &size.batch},
                                       {&vocabulary, &size.vocabulary}}) {
      if (!*given) continue;
      *field = **given;
      size.name = "custom";
    }
    return size;
  }
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
  const auto changes = [&](const char* name, std::optional<std::int64_t>& value, double least) {
    app.add_option(name, value, "instead of the size's")
        ->check(detail::at_least(least,
                                 "a whole number, " + std::to_string(static_cast<int>(least)) + " or more"))
        ->group("Another size");
  };
  changes("--d-model", a.d_model, 1);
  changes("--heads", a.heads, 1);
  changes("--ff", a.ff, 1);
  changes("--layers", a.layers, 1);
  changes("--length", a.length, 1);
  changes("--batch", a.batch, 1);
  changes("--vocabulary", a.vocabulary, 4);
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
