#!/usr/bin/env python3
"""Times our programs and their peers side by side and writes docs/benchmarks.md between its markers.

    compare.py                          a training step, every size and thread count, three rounds
    compare.py steps --sizes S1 S --rounds 2 --steps 50
    compare.py attention decode         those parts of the page
    compare.py --losses                 compare only the losses of five Adam steps between all backends
    compare.py --from build/compare/steps.jsonl    write the page from the lines of an earlier run

Parts: steps (with memory), kernels, attention, decode. Each writes its
lines to build/compare/PART.jsonl, or adds to them with --append. In a round every backend runs once, in
turn, so that other load on the machine affects all of them; a backend's time is the median of its rounds'
medians, the spread that of the rounds. Peers that peers/install.sh did not install are omitted and named.
Run it on a quiet machine.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import compare_parts
import compare_report
import compare_tables
import provenance

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / "build/peers"
SIZES = ["S1", "S", "M", "L"]
TOLERANCE = {"S1": 1e-5, "S": 1e-5, "M": 1e-4}
COLLECTORS = {"steps": compare_parts.steps, "kernels": compare_parts.kernels,
              "attention": compare_parts.attention, "decode": compare_parts.decode}


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="*", metavar="PART",
                   help="of " + ", ".join(COLLECTORS) + "; default: steps")
    p.add_argument("--bench-step", type=pathlib.Path, default=ROOT / "build/release/bin/bench_step",
                   help="the other programs of ours lie beside it")
    p.add_argument("--kernel-seconds", type=float, default=0.1,
                   help="about how long each kernel's case takes")
    p.add_argument("--torch-python", default=os.environ.get("TAPEGRAD_TORCH_PYTHON",
                                                            str(PEERS / "torch/bin/python")))
    p.add_argument("--jax-python", default=str(PEERS / "jax/bin/python"))
    p.add_argument("--libtorch", default=str(PEERS / "libtorch/libtorch_bench"))
    p.add_argument("--dynet", default=str(PEERS / "dynet/bench/dynet_bench"))
    p.add_argument("--sizes", nargs="+", choices=SIZES, help="default: all; for decode S and M")
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--once", nargs="+", default=[], metavar="BACKEND", help="run in the first round alone")
    p.add_argument("--steps", type=int, help="timed steps of every run, instead of the size's own")
    p.add_argument("--warmup", type=int, help="untimed steps before them, instead of the size's own")
    p.add_argument("--longest", type=int, default=2048, help="sequence of attention, from 64 on")
    p.add_argument("--only", nargs="+", metavar="BACKEND", help="of " + ", ".join(compare_report.BACKENDS))
    p.add_argument("--losses", action="store_true", help="only compare losses; 1 when they differ")
    p.add_argument("--append", action="store_true", help="to the lines of the part's earlier run")
    p.add_argument("--lines", type=pathlib.Path, default=ROOT / "build/compare", metavar="FOLDER")
    p.add_argument("--from", dest="source", nargs="+", type=pathlib.Path, metavar="LINES")
    p.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/benchmarks.md")
    a = p.parse_args()
    a.parts = a.parts or ["steps"]
    for part in a.parts:
        if part not in COLLECTORS:
            p.error(f"no part {part}: the parts are {', '.join(COLLECTORS)}")
    return a


def compare_losses(a):
    """True when every backend has PyTorch's losses from equal weights; prints a line for each."""
    if subprocess.run([a.torch_python, "-c", "import torch"], capture_output=True, check=False).returncode:
        print(f"SKIP: {a.torch_python} has no PyTorch")
        return True
    found = compare_parts.backends(a)
    agree = True
    for size in (s for s in a.sizes or SIZES if s in TOLERANCE):
        with tempfile.TemporaryDirectory() as folder:
            start = pathlib.Path(folder) / "start"
            subprocess.run([a.torch_python, str(HERE / "peers/init_file.py"), "--size", size, str(start)],
                           check=True)
            losses = {}
            for name, command in found.items():
                suffix = ".pt" if name == "libtorch" else ".safetensors"
                line = compare_parts.run(command, ["--size", size, "--steps", 1, "--warmup", 0, "--init",
                                                   start.with_suffix(suffix)])
                if line is None:
                    agree = False
                else:
                    losses[name] = line["losses"]
        reference = losses.get("eager plain") or losses.get("eager fused")
        if reference is None:
            raise SystemExit("PyTorch eager is what losses are compared with, and it did not run")
        for name, mine in losses.items():
            apart = [abs(x - y) for x, y in zip(mine, reference)]
            worst = max(apart)
            good = len(mine) == 5 and all(x <= TOLERANCE[size] for x in apart)  # also where one is NaN
            agree = agree and good
            print(f"{'PASS' if good else 'FAIL'}: {size} {name}: losses of five steps within {worst:.1e} "
                  f"of PyTorch's, limit {TOLERANCE[size]:.0e}")
    return agree


def versions(a):
    found = provenance.package_versions()
    found.update({"PyTorch" if name == "torch" else name: version for name, version in
                  provenance.python_versions(a.torch_python, ["torch"]).items()})
    found.update(provenance.python_versions(a.jax_python, ["jax"]))
    return found


def main():
    a = parse()
    if a.losses:
        sys.exit(not compare_losses(a))
    if a.source is None:
        a.source = [a.lines / f"{part}.jsonl" for part in a.parts]
        for part, path in zip(a.parts, a.source):
            provenance.record(path, part, versions(a), COLLECTORS[part](a), a.append)
    for path in a.source:
        lines = provenance.read(path)
        part = provenance.part_of(lines)
        section = compare_tables.SECTIONS[part](lines)
        print(f"\n{section}")
        compare_report.replace_section(a.page, part, section)


if __name__ == "__main__":
    main()
