#!/usr/bin/env python3
"""Times bin/bench_step and its peers side by side and writes docs/benchmarks.md between its markers.

    compare.py                          every size and thread count, three rounds: about an hour
    compare.py --sizes S1 S --rounds 2 --steps 50
    compare.py --losses                 only: do all backends agree on the losses of five Adam steps?
    compare.py --from build/compare.jsonl   no run: the page again from the lines of an earlier one

In a round every backend runs once, one after the other, so that what else the machine does meets all of them.
A backend's time is the median of its rounds' medians; the spread is that of the rounds. What peers/install.sh
did not install is left out and named. Run it on a quiet machine.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import compare_report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / "build/peers"
SIZES = ["S1", "S", "M", "L"]
TOLERANCE = {"S1": 1e-5, "S": 1e-5, "M": 1e-4}


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench-step", type=pathlib.Path, default=ROOT / "build/release/bin/bench_step")
    p.add_argument("--kernel-bench", type=pathlib.Path, help="also bin/kernel_bench, into the same page")
    p.add_argument("--kernel-seconds", type=float, default=0.1, help="about how long each of its cases takes")
    p.add_argument("--torch-python", default=os.environ.get("TAPEGRAD_TORCH_PYTHON",
                                                            str(PEERS / "torch/bin/python")))
    p.add_argument("--jax-python", default=str(PEERS / "jax/bin/python"))
    p.add_argument("--libtorch", default=str(PEERS / "libtorch/libtorch_bench"))
    p.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, help="timed steps of every run, instead of the size's own")
    p.add_argument("--warmup", type=int, help="untimed steps likewise")
    p.add_argument("--only", nargs="+", metavar="BACKEND", help="of " + ", ".join(compare_report.BACKENDS))
    p.add_argument("--losses", action="store_true", help="only compare losses; 1 when they differ")
    p.add_argument("--lines", type=pathlib.Path, default=ROOT / "build/compare.jsonl",
                   help="where every run's JSON line is kept")
    p.add_argument("--from", dest="source", type=pathlib.Path, metavar="LINES")
    p.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/benchmarks.md")
    return p.parse_args()


def commands(a):
    """What runs each backend, as far as it is there."""
    peer = [a.torch_python, str(HERE / "peers/peer_bench.py"), "--backend"]
    jax = [a.jax_python, str(HERE / "peers/peer_bench.py"), "--backend", "jax"]
    every = {"tapegrad": [str(a.bench_step)], "eager fused": [*peer, "eager"],
             "eager plain": [*peer, "eager", "--adam", "plain"], "compile": [*peer, "compile"],
             "jax": jax, "libtorch": [a.libtorch]}
    found = {}
    for name, command in every.items():
        if a.only and name not in a.only:
            continue
        if pathlib.Path(command[0]).is_file():
            found[name] = command
        else:
            print(f"not here: {name} ({command[0]})", file=sys.stderr)
    if "tapegrad" not in found:
        raise SystemExit(f"{a.bench_step}: not built")
    return found


def run(command, options):
    done = subprocess.run([*command, *map(str, options)], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    if done.returncode != 0:
        tail = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"failed ({done.returncode}): {' '.join(map(str, [*command, *options]))}: {tail}",
              file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def time_all(a):
    """Every run's line, as it comes, also appended to the file of lines."""
    found = commands(a)
    limits = [x for name in ("steps", "warmup") if getattr(a, name) is not None
              for x in (f"--{name}", getattr(a, name))]
    a.lines.parent.mkdir(parents=True, exist_ok=True)
    with a.lines.open("w", encoding="utf-8") as kept:
        for size in a.sizes:
            for threads in a.threads:
                if size == "S1" and threads > 1:
                    continue  # one sentence is one shard
                for number in range(a.rounds):
                    for name, command in found.items():
                        line = run(command, ["--size", size, "--threads", threads, *limits])
                        if line is None:
                            continue
                        line.update(name=name, round=number, load=round(os.getloadavg()[0], 1))
                        kept.write(json.dumps(line) + "\n")
                        kept.flush()
                        print(f"{size:3} {threads} threads, round {number}: {name:12} "
                              f"{line['step_ms']:10.3f} ms", flush=True)
        if a.kernel_bench:
            seconds = ["--seconds", str(a.kernel_seconds)]
            kernel_runs = [[str(a.kernel_bench), "--json", *seconds],
                           [a.torch_python, str(HERE / "peers/peer_attention.py"), *seconds]]
            for command in kernel_runs:
                if pathlib.Path(command[0]).is_file():
                    kept.write(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def compare_losses(a):
    """Whether every backend finds the losses that PyTorch finds from the same weights; prints a line each."""
    if subprocess.run([a.torch_python, "-c", "import torch"], capture_output=True, check=False).returncode:
        print(f"SKIP: {a.torch_python} has no PyTorch")
        return True
    found = commands(a)
    agree = True
    for size in (s for s in a.sizes if s in TOLERANCE):
        with tempfile.TemporaryDirectory() as folder:
            start = pathlib.Path(folder) / "start"
            subprocess.run([a.torch_python, str(HERE / "peers/init_file.py"), "--size", size, str(start)],
                           check=True)
            losses = {}
            for name, command in found.items():
                suffix = ".pt" if name == "libtorch" else ".safetensors"
                line = run(command, ["--size", size, "--steps", 1, "--warmup", 0, "--init",
                                     start.with_suffix(suffix)])
                if line is None:
                    agree = False
                else:
                    losses[name] = line["losses"]
        reference = losses.get("eager plain") or losses.get("eager fused")
        if reference is None:
            raise SystemExit("PyTorch eager is what losses are compared with, and it did not run")
        for name, mine in losses.items():
            worst = max(abs(x - y) for x, y in zip(mine, reference))
            good = worst <= TOLERANCE[size] and len(mine) == 5
            agree = agree and good
            print(f"{'PASS' if good else 'FAIL'}: {size} {name}: losses of five steps within {worst:.1e} "
                  f"of PyTorch's, limit {TOLERANCE[size]:.0e}")
    return agree


def main():
    a = parse()
    if a.losses:
        sys.exit(not compare_losses(a))
    if a.source is None:
        time_all(a)
    source = a.source or a.lines
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    report = compare_report.sections(lines)
    for name, text in report.items():
        print(f"\n{text}")
        compare_report.replace_section(a.page, name, text)


if __name__ == "__main__":
    main()
