"""Mutation test of the backward rules.

  mutate.py check ROOT                         checks the scripts without compiling: they find every backward
                                               rule of the tree, and all of a new op's
  mutate.py gate ROOT                          checks, before a release, that the mutation test ran on the
                                               tree's present rules: each has five mutants, equivalent.txt
                                               names mutants that exist, killed.txt is of these very rules
  mutate.py run ROOT FOLDER RESULT.md [-j N]   builds the mutants in FOLDER, runs the checks of all ops
                                               against each and writes RESULT.md; without survivors
                                               killed.txt too

A mutant passes when a check fails, or when equivalent.txt proves in one line that it is no fault; see there.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import build
import generate
import killed

HERE = pathlib.Path(__file__).resolve().parent
NO_GRADIENT = r"\) const override \{ return (\{\}|VarList\(\d*\)); \}"  # has no faults
OUTSIDE = re.compile(rf"\b(pullback|backward)\(const \w+Args&(?!{NO_GRADIENT})")


def equivalents():
    """Proofs by the key of the mutant: lines `FILE | FUNCTION | RULE | ORIGINAL -> EDITED => PROOF`."""
    proofs = {}
    for line in (HERE / "equivalent.txt").read_text(encoding="utf-8").split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        key, _, proof = line.rpartition(" => ")
        if not key or not proof.strip() or key in proofs:
            raise SystemExit(f"FAIL: equivalent.txt: no proof, or a second one: {line}")
        proofs[key] = proof.strip()
    return proofs


def written_in(root, room):
    return sorted(path for path in (root / room).rglob("*") if path.suffix in (".h", ".cpp"))


def unfound(made, root):
    """Backward rules that a plain search sees and the generator does not."""
    found = {tuple(key.split(" | ")) for key in made.bodies}
    for path in written_in(root, "autograd/ops"):
        name, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
        for rule in ("pullback", "backward"):
            written = len(re.findall(rf"\b{rule}\(const \w+Args&[^)]*\) const (?:override )?\{{", text))
            seen = sum(file == name and function.endswith(f"::{rule}") for file, function in found)
            seen += sum(line.startswith(f"{name} |") for line in made.exempt) if rule == "pullback" else 0
            if written != seen:
                yield f"{name}: {written} functions {rule}, of which {seen} were found"
    headers = "".join(path.read_text(encoding="utf-8") for path in written_in(root, "autograd/kernels"))
    kernels = re.findall(r"^TAPEGRAD_KERNEL\(\w+, (\w*backward\w*)", headers, re.M)
    for kernel in kernels:
        if not any(function == kernel for _, function in found):
            yield f"kernel {kernel} was not found"
    if not kernels:
        yield "no kernels were found"
    for room in ("autograd", "nn", "optim"):
        for path in written_in(root, room):
            name, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
            if name == "autograd/op.h" or name.startswith("autograd/ops/"):
                continue
            if OUTSIDE.search(text) and "bool differentiable() const override { return false; }" not in text:
                yield f"{name}: an op outside autograd/ops, where no rule looks"


def too_few(made):
    """Rules with fewer than five mutants."""
    born = collections.Counter(f"{m.file} | {m.function}" for m in made.mutants if m.born)
    return [f"{key} has {born[key]} mutants, fewer than {least}" for key, (_, least) in made.bodies.items()
            if born[key] < least]


NEW_OP = """
struct Hypot final : Primitive {
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    accumulate(args, [](auto x, auto y, auto dy) { return dy * x / y; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& dy = p.cotangents[0];
    return {sum_to(dy * p.inputs[0] / p.outputs[0], p.inputs[0].shape())};
  }
};
"""


def new_op(root):
    """The failures of the generator on a new op's rules."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        shutil.copytree(root / "autograd", copy / "autograd")
        (copy / "nn").mkdir()
        changed = NEW_OP.replace("dy * x / y", "dy * y / x")
        again = "// Once more.\n" + NEW_OP.replace("sum_to(dy", "sum_to(\n        dy")
        for name, text in (("autograd/ops/hypot.cpp", NEW_OP), ("autograd/ops/again.cpp", again),
                           ("autograd/ops/changed.cpp", changed), ("autograd/ops/late.h", NEW_OP),
                           ("nn/late.h", NEW_OP)):
            (copy / name).write_text(text, encoding="utf-8")
        made = generate.Generator(copy)
        missed = "\n".join(unfound(made, copy))
    problems = [f"a rule in {name} is not missed" for name in ("autograd/ops/late.h", "nn/late.h")
                if f"{name}: " not in missed]
    digests = killed.digests(made)
    digest = {name: digests[f"autograd/ops/{name}.cpp"] for name in ("hypot", "again", "changed")}
    if digest["hypot"] != digest["again"]:
        problems.append("a comment or a line break changes the digest")
    entry = "autograd/ops/hypot.cpp {} {}\n"
    for text, wanted in ((entry.format(*digest["hypot"]), 0), (entry.format(*digest["changed"]), 1), ("", 1)):
        if sum(" autograd/ops/hypot.cpp" in line for line in killed.stale(made, text)) != wanted:
            problems.append(f"killed.txt with `{text.strip()}` should give {wanted} problems")
    mutants = collections.defaultdict(set)
    for m in made.mutants:
        if m.file == "autograd/ops/hypot.cpp":
            mutants[m.function].add((m.rule, f"{m.original} -> {m.edited}"))
    whole = "dy * p.inputs[0] / p.outputs[0], p.inputs[0].shape())"
    wanted = {"Hypot::pullback": [("missing un-broadcast", f"sum_to({whole} -> ::mutation::unsummed({whole}"),
                                  ("factor", "dy * p.inputs[0] -> dy"), ("sign", "g -> -g")],
              "Hypot::backward": [("factor", "dy * x / y -> dy * x"), ("= for +=", "g -> accumulator = g"),
                                  ("sign", "dy * x / y -> -(dy * x / y)")]}
    return problems + [f"{function} lacks the mutant {text}" for function, texts in wanted.items()
                       for text in texts if text not in mutants[function]]


def verdict(title, problems):
    print("\n".join(f"FAIL: {problem}" for problem in problems) or f"PASS: {title}")
    return not problems


def check(root):
    made = generate.Generator(root)
    real = [m for m in made.mutants if m.file]
    keys = {m.key for m in real}
    print(f"{len(real)} mutants of {len(made.bodies)} rules")
    print("\n".join(f"exempt: {line}" for line in made.exempt))
    return [verdict("every backward rule is found", list(unfound(made, root))),
            verdict("the keys of mutants are unique", [] if len(keys) == len(real) else ["two have one key"]),
            verdict("a new op is taken in", new_op(root))]


def gate(root):
    made = generate.Generator(root)
    keys = {m.key for m in made.mutants if m.file}
    return [verdict("at least five mutants a rule", too_few(made)),
            verdict("equivalent.txt names mutants that exist", sorted(set(equivalents()) - keys)),
            verdict("the mutation test ran on these rules", list(killed.stale(made)))]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def counts(mutants, state, by):
    """Rows: name, mutants, killed, equivalent, alive."""
    groups = collections.defaultdict(collections.Counter)
    for m in mutants:
        groups[by(m)][state[m.number]] += 1
    rows = [(name, sum(c.values()), c["killed"], c["equivalent"], c["survived"])
            for name, c in sorted(groups.items())]
    return rows + [("together", *(sum(row[k] for row in rows) for k in range(1, 5)))]


def report(made, state, how, proofs, path):
    alive = [m for m in made.mutants if m.born]
    stillborn = sum(bool(m.file) and not m.born for m in made.mutants)
    head = ("mutants", "killed", "equivalent", "survived")
    killers = collections.Counter(how[m.number][0] for m in alive if state[m.number] == "killed")
    rules = [row for row in counts(alive, state, lambda m: f"{m.file} {m.function}") if row[0] != "together"]
    fewest = min(row[1] for row in rules if made.bodies[row[0].replace(" ", " | ", 1)][1])
    lines = ["# Mutation test of the backward rules", "",
             "Written by `bash tests/run.sh --long mutation`. Each mutant is one edit of one statement of a "
             "backward rule, made by a rule of tests/mutation/rules.py; it is killed when a check of an op's "
             f"samples fails. {len(alive)} mutants of {len(made.bodies)} functions were run, at least "
             f"{fewest} of every pullback, raw backward and kernel; {stillborn} more did not compile.", ""]
    lines += table(("rule", *head), counts(alive, state, lambda m: m.rule)) + [""]
    lines += table(("file", *head), counts(alive, state, lambda m: m.file)) + [""]
    lines += ["The first check that killed:", ""]
    lines += table(("check", "mutants"), killers.most_common()) + [""]
    lines += [f"Exempt: {line.replace(' | ', ', ')}." for line in made.exempt] + [""]
    for title, wanted in (("Equivalent", "equivalent"), ("Survived", "survived")):
        chosen = [m for m in alive if state[m.number] == wanted]
        if chosen:
            lines += [f"## {title}", ""]
        for m in chosen:
            proof = f": {proofs[m.key]}" if wanted == "equivalent" else ""
            lines.append(f"- {m.file}, {m.function}, {m.rule}: `{m.original}` -> `{m.edited}`"
                         f"{f' (number {m.repeat})' if m.repeat > 1 else ''}{proof}")
        lines += [""] if chosen else []
    pathlib.Path(path).write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def run(root, folder, result, jobs):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    made, runner = build.build(root, folder, jobs)
    built = time.monotonic()
    out = folder / "results.tsv"
    if subprocess.run([runner, str(len(made.mutants)), str(jobs), out], check=False).returncode != 0:
        raise SystemExit("FAIL: the runner cannot be trusted; see above")
    how, state, proofs = {}, {}, equivalents()
    for line in out.read_text(encoding="utf-8").split("\n")[:-1]:
        number, outcome, check_name, where = line.split("\t")
        how[int(number)] = (check_name, where)
        state[int(number)] = "killed" if outcome == "killed" else "survived"
    alive = [m for m in made.mutants if m.born]
    killed_keys = {m.key for m in alive if state[m.number] == "killed"}
    keys = {m.key for m in alive}
    for m in alive:
        if state[m.number] == "survived" and m.key in proofs:
            state[m.number] = "equivalent"
    problems = [f"survived: {m.key}" for m in alive if state[m.number] == "survived"]
    wrong = sorted(set(proofs) & killed_keys)
    problems += [f"equivalent.txt: killed, so not equivalent: {key}" for key in wrong]
    problems += [f"equivalent.txt: there is no such mutant: {key}" for key in sorted(set(proofs) - keys)]
    problems += [f"number {m.number} was killed, and is no mutant" for m in made.mutants
                 if not m.born and state[m.number] == "killed"]
    problems += list(unfound(made, root)) + too_few(made)
    report(made, state, how, proofs, result)
    for problem in problems:
        print(f"FAIL: {problem}")
    if not problems:
        killed.write(made)
    totals = collections.Counter(state[m.number] for m in alive)
    print("killed by: " + ", ".join(f"{name} {n}" for name, n in collections.Counter(
        how[m.number][0] for m in alive if state[m.number] == "killed").most_common()))
    for row in counts(alive, state, lambda m: m.rule):
        print("{:24} {:5} mutants {:5} killed {:4} equivalent {:4} survived".format(*row))
    print(f"{sum(bool(m.file) and not m.born for m in made.mutants)} stillborn; "
          f"built in {built - begin:.0f} s, run in {time.monotonic() - built:.0f} s")
    print(f"{totals['killed'] + totals['equivalent']} passed, {len(problems)} failed")
    sys.exit(bool(problems))


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=("check", "gate", "run"))
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("result", nargs="?")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    given = parser.parse_args()
    if given.command != "run":
        good = {"check": check, "gate": gate}[given.command](given.root.resolve())
        sys.exit(not all(good))
    if not given.folder or not given.result:
        parser.error("run needs FOLDER and RESULT.md")
    run(given.root.resolve(), given.folder, given.result, given.jobs)


if __name__ == "__main__":
    main()
