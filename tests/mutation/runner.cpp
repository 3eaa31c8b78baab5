// mutation_runner MUTANTS JOBS OUT: runs the checks of every op's samples against mutants 0 … MUTANTS - 1,
// each in a process of its own, and writes a line `number TAB killed|survived|unreached TAB by what
// TAB where` each. Fails when such a process without a mutant does not pass every check.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <numeric>

#include <mutation/mutant.h>
#include <tests/support/uninitialized_checks.h>

namespace tapegrad {
namespace {

struct OpCheck {
  const char* name;
  std::string (*run)(const std::string& label, const Sample& sample);
};

const OpCheck checks[] = {
    {"raw backward = pullback",
     [](const std::string&, const Sample& s) { return op_checks::raw_equals_pullback(s); }},
    {"completed = pullback",
     [](const std::string&, const Sample& s) { return op_checks::completed_equal_pullback(s); }},
    {"kernel = definition",
     [](const std::string&, const Sample& s) { return op_checks::kernel_equals_definition(s); }},
    {"f32 follows f64", [](const std::string&, const Sample& s) { return op_checks::f32_follows_f64(s); }},
    {"repeats, linear",
     [](const std::string&, const Sample& s) { return op_checks::repeats_and_is_linear(s); }},
    {"uses add up", [](const std::string&, const Sample& s) { return op_checks::uses_add_up(s); }},
    {"inputs alone", [](const std::string&, const Sample& s) { return op_checks::inputs_alone(s); }},
    {"written where uninitialized",
     [](const std::string&, const Sample& s) { return op_checks::uninitialized_gradients(s); }},
    {"gradcheck",
     [](const std::string& label, const Sample& s) {
       const GradcheckResult r = op_checks::check_gradients(label, s, true, false);
       return r.ok ? std::string() : r.message;
     }},
    {"gradcheck of the definition",
     [](const std::string& label, const Sample& s) {
       const GradcheckResult r = op_checks::check_gradients(label, s, false, false);
       return r.ok ? std::string() : r.message;
     }},
    {"gradgradcheck",
     [](const std::string& label, const Sample& s) {
       const GradcheckResult r = op_checks::check_gradients_of_gradients(label, s, false);
       return r.ok ? std::string() : r.message;
     }},
};

/// One check of one sample, with its result without a mutant.
struct Case {
  const OpCheck* check;
  std::string label;
  const Sample* sample;
  double seconds = 0;
  std::vector<unsigned char> seen = {};  // by mutant
};

/// The failure or an empty string; an exception is a failure too.
std::string failure(const Case& c) {
  try {
    return c.check->run(c.label, *c.sample);
  } catch (const std::exception& error) {
    return fmt::format("throws: {}", error.what());
  }
}

/// A child's result, in memory that it shares with its parent: the case that killed the mutant, or one of
/// these.
enum : int { not_begun = -1, survived = -2 };

void run_child(int mutant, const std::vector<Case*>& reached, int& result) {
  const rlimit none{0, 0}, memory{rlim_t{4} << 30, rlim_t{4} << 30};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_AS, &memory);
  if (!std::freopen("/dev/null", "w", stderr)) _exit(1);
  double expected = 0;
  for (const Case* c : reached) expected += c->seconds;
  alarm(static_cast<unsigned>(20 + 5 * expected));
  mutation::active = mutant;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    result = static_cast<int>(i);  // should it crash
    if (!failure(*reached[i]).empty()) _exit(0);
  }
  result = survived;
  _exit(0);
}

/// The result as the output has it: a process that ended by a signal did not finish its check. Empty when the
/// process tells nothing about its mutant: it began no check, or another process killed it.
std::string describe(const std::vector<Case*>& reached, int result, int status) {
  if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) == SIGKILL) return {};
  if (result == not_begun) return {};
  if (result == survived) return "survived\t\t";
  const Case& c = *reached[static_cast<std::size_t>(result)];
  const char* how = !WIFSIGNALED(status)          ? c.check->name
                    : WTERMSIG(status) == SIGALRM ? "out of time"
                                                  : "crash";
  return fmt::format("killed\t{}\t{}: {}", how, c.check->name, c.label);
}

int run(int mutants, int jobs, const char* path) {
  std::vector<std::vector<Sample>> samples;
  std::vector<Case> cases;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next) samples.push_back(op->make());
  std::size_t at = 0;
  for (const OpSamples* op = OpSamples::first(); op != nullptr; op = op->next, ++at)
    for (const Sample& sample : samples[at])
      for (const OpCheck& check : checks)
        cases.push_back({&check, fmt::format("{} ({})", op->op, sample.label), &sample});
  bool healthy = true;
  double total = 0;
  for (Case& c : cases) {
    c.seen.resize(static_cast<std::size_t>(mutants));
    mutation::seen = c.seen.data();
    const auto begin = std::chrono::steady_clock::now();
    const std::string wrong = failure(c);
    c.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    total += c.seconds;
    if (wrong.empty()) continue;
    std::cerr << "without a mutant: " << c.check->name << ": " << c.label << ": " << wrong << "\n";
    healthy = false;
  }
  mutation::seen = nullptr;
  std::cerr << fmt::format("{} checks without a mutant: {:.0f} s\n", cases.size(), total);
  if (!healthy) return 1;

  std::vector<std::size_t> order(cases.size());
  std::iota(order.begin(), order.end(), 0);
  // Check by check, in the order of the list, so that a mutant is always killed by one check.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t k) { return cases[i].check < cases[k].check; });
  // Number -1 is the control, no mutant over all cases: what a child may use must not kill it.
  constexpr int control = -1;
  const auto slot = [](int mutant) { return static_cast<std::size_t>(mutant - control); };
  const std::size_t slots = slot(mutants);
  int* results = static_cast<int*>(
      mmap(nullptr, slots * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (results == MAP_FAILED) return 1;
  std::fill_n(results, slots, not_begun);
  std::vector<std::string> lines(slots, "unreached\t\t");
  std::map<pid_t, std::pair<int, std::vector<Case*>>> children;
  bool trusted = true;
  const auto collect = [&] {
    int status = 0;
    const pid_t pid = wait(&status);
    const auto& [mutant, reached] = children.at(pid);
    std::string& line = lines[slot(mutant)];
    line = describe(reached, results[slot(mutant)], status);
    if (line.empty() || (mutant == control && results[slot(mutant)] != survived)) {
      std::cerr << fmt::format(
          "{}: {}\n", mutant == control ? "the control, without a mutant" : "a process",
          line.empty() ? fmt::format("ended outside its checks, status {}", status) : line);
      trusted = false;
    }
    children.erase(pid);
  };
  for (int mutant = control; mutant < mutants && trusted; ++mutant) {
    std::vector<Case*> reached;
    for (const std::size_t i : order)
      if (mutant == control || cases[i].seen[static_cast<std::size_t>(mutant)]) reached.push_back(&cases[i]);
    if (reached.empty()) continue;
    while (children.size() >= static_cast<std::size_t>(jobs)) collect();
    const pid_t pid = fork();
    if (pid < 0) return 1;
    if (pid == 0) run_child(mutant, reached, results[slot(mutant)]);
    children[pid] = {mutant, std::move(reached)};
  }
  while (!children.empty()) collect();
  if (!trusted) return 1;
  std::ofstream out(path);
  for (int mutant = 0; mutant < mutants; ++mutant) out << mutant << "\t" << lines[slot(mutant)] << "\n";
  return out.good() ? 0 : 1;
}

}  // namespace
}  // namespace tapegrad

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: mutation_runner MUTANTS JOBS OUT\n";
    return 2;
  }
  return tapegrad::run(std::atoi(argv[1]), std::atoi(argv[2]), argv[3]);
}
