"""configurations.py COMMAND... [--seed N ...] [--fresh]: nn.Transformers against `COMMAND... IN OUT`.

The command computes a Transformer and its gradients, as `seq2seq parity` does. It is given the Transformers
of `hard/`, then those of every seed: each combination of the four masks (source, target and memory padding,
causal), pre- and post-norm, relu and gelu, with and without bias, f32 and f64, with sizes, parameters and
inputs drawn from the seed, and some with rows of the source, target or memory that are masked in full.

The reference is PyTorch's f64, for f32 too. What is limited is the backward error (conditioning.py): the
distance from the reference in units of what rounding the data once may change. The draws have the same bits
on every machine; those of a seed in DRAWN are compared with their digest.

Prints a line of JSON for every file and every seed; the worst configurations go to standard error. Exits with
1 when one is over the limit. `--fresh` adds a seed from the clock, which is printed first.
"""
import argparse
import hashlib
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import pytorch  # noqa: F401
import torch
from conditioning import KINDS, backward_errors, condition_numbers, forward_errors
from safetensors.torch import load_file
from transformer_case import DTYPES, PADDINGS, draw_case, read_case

LIMIT = 8  # roundoffs
DRAWS = (4, 64)  # for a condition number: 4, and more up to 64 while the backward error is above LIMIT / 4
HARD = pathlib.Path(__file__).resolve().parent / "hard"
FULLY_MASKED = 16
DRAWN = {1: "27da2ac67c4ad2f3d98511274ebf07791077fc481e0320baf873830b4f854b61"}  # SHA-256 by seed


def configurations(seed):
    """All cases of a seed."""
    flags, numbers = (False, True), itertools.count()
    product = itertools.product(flags, flags, flags, flags, flags, ("relu", "gelu"), flags, DTYPES)
    for *padded, causal, norm_first, activation, bias, dtype in product:
        yield draw_case(f"{seed}.{next(numbers)}", dtype, list(itertools.compress(PADDINGS, padded)),
                        causal=causal, norm_first=norm_first, activation=activation, bias=bias)
    for i in range(FULLY_MASKED):
        rows = (PADDINGS[:1], PADDINGS[2:], PADDINGS[::2], PADDINGS[1:2])[i // 4]
        yield draw_case(f"{seed}.{next(numbers)}", tuple(DTYPES)[i // 2 % 2], PADDINGS if i % 2 else rows,
                        rows, norm_first=i % 3 == 0, activation=("relu", "gelu")[i % 2], bias=i % 4 < 2)


def computed_by(command, case, folder):
    """`out` and the gradients as the command computes them."""
    given, got = folder / "in.safetensors", folder / "out.safetensors"
    got.unlink(missing_ok=True)
    case.save(given)
    run = subprocess.run([*command, given, got], stderr=subprocess.PIPE, text=True, timeout=600)
    if run.returncode != 0:
        raise SystemExit(f"FAIL: {case}: {run.stderr.strip()}")
    return load_file(got)


class Comparison:
    """The errors of the command (`ours`), and of PyTorch in f32 (`pytorch`) where the case is f32."""

    def __init__(self, name, case, command, folder):
        self.name, self.dtype = f"{name}: {case}", case.dtype
        exact = case.by_pytorch("f64")
        results = {"ours": computed_by(command, case, folder)}
        if case.dtype == "f32":
            results["pytorch"] = case.by_pytorch("f32")
        self.forward = {who: forward_errors(result, exact) for who, result in results.items()}
        for draw, self.conditions in zip(range(DRAWS[1]), condition_numbers(case, exact)):
            self.backward = {who: backward_errors(errors, self.conditions, case.dtype)
                             for who, errors in self.forward.items()}
            if draw + 1 >= DRAWS[0] and self.worst() <= LIMIT / 4:
                break

    def worst(self):
        return max(self.backward["ours"].values())

    def fails(self):
        return not self.worst() <= LIMIT  # true for NaN

    def numbers(self):
        """Condition numbers, forward and backward errors by name, in three digits."""
        found = {f"condition_{kind}": self.conditions[kind] for kind in KINDS}
        for who, errors in self.forward.items():
            prefix = "pytorch_" if who == "pytorch" else ""
            found.update({f"{prefix}{kind}": errors[kind] for kind in KINDS})
            found.update({f"{prefix}backward_{kind}": self.backward[who][kind] for kind in KINDS})
        return {name: float(f"{number:.3g}") for name, number in found.items()}

    def __str__(self):
        return f"{self.name}: {self.numbers()}"


def summary(comparisons):
    """{dtype: the largest of each number, and in how many cases the gradients of ours are the nearer}"""
    table = {}
    for dtype in DTYPES:
        mine = [c.numbers() for c in comparisons if c.dtype == dtype]
        table[dtype] = {"configurations": len(mine), **{name: max(n[name] for n in mine) for name in mine[0]}}
    single = [c.forward for c in comparisons if c.dtype == "f32"]
    table["f32"]["nearer_to_f64"] = sum(f["ours"]["gradients"] < f["pytorch"]["gradients"] for f in single)
    return table


def conclude(name, line, failures, worst):
    """Prints what is found of a seed or a file; whether all is well."""
    print(*failures, json.dumps({**line, "limit": LIMIT, "failed": len(failures)}), sep="\n")
    if not failures:
        print(f"PASS: {name}: backward error {worst:.2f} roundoffs, limit {LIMIT}")
    sys.stdout.flush()
    return not failures


def check_file(path, command, folder):
    found = Comparison(path.name, read_case(path), command, folder)
    return conclude(path.name, {"file": path.name, **found.numbers()}, [f"FAIL: {found}"] * found.fails(),
                    found.worst())


def check_seed(seed, shown, command, folder):
    begin, comparisons, digest = time.monotonic(), [], hashlib.sha256()
    for number, case in enumerate(configurations(seed)):
        digest.update(case.content())
        comparisons.append(Comparison(f"seed {seed}, configuration {number}", case, command, folder))
    comparisons.sort(key=Comparison.worst, reverse=True)
    for dtype in DTYPES:
        for c in [c for c in comparisons if c.dtype == dtype][:shown]:
            print(c, file=sys.stderr)
    failures = [f"FAIL: {c}" for c in comparisons if c.fails()]
    if DRAWN.get(seed, digest.hexdigest()) != digest.hexdigest():
        failures.append(f"FAIL: seed {seed} draws other numbers than elsewhere: {digest.hexdigest()}")
    line = {"seed": seed, "torch": torch.__version__, "drawn": digest.hexdigest()[:16],
            "configurations": len(comparisons), "fully_masked": FULLY_MASKED,
            "seconds": round(time.monotonic() - begin, 1), **summary(comparisons)}
    return conclude(f"seed {seed}", line, failures, comparisons[0].worst())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", nargs="+")
    parser.add_argument("--seed", type=int, nargs="*", default=[1])
    parser.add_argument("--fresh", action="store_true", help="one more seed, from the clock")
    parser.add_argument("--worst", type=int, default=3, help="configurations listed for each dtype")
    arguments = parser.parse_args()
    seeds = list(arguments.seed)
    if arguments.fresh:
        seeds.append(time.time_ns() // 1_000_000 % 1_000_000_000)
        print(f"seed from the clock: repeat with --seed {seeds[-1]}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        well = [check_file(path, arguments.command, folder) for path in sorted(HARD.glob("*.safetensors"))]
        well += [check_seed(seed, arguments.worst, arguments.command, folder) for seed in seeds]
    sys.exit(not all(well))


if __name__ == "__main__":
    main()
