#!/usr/bin/env python3
"""Measures the growth of a training step's time with the model and with threads, for docs/benchmarks.md.

    scaling.py size           d_model 32 … 512, length 8 … 512: fit, table and docs/benchmarks_scaling.svg
    scaling.py threads        1, 2, 4, 8, 16 threads, as far as there are processors
    scaling.py threads --bench-step PATH --lines out.jsonl     only measure, on any machine with Python
    scaling.py threads --from out.jsonl                        write the page from those lines

Needs bench_step and nothing outside Python's own library. bench_step pins itself to its threads' processors.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import compare_report
import provenance
import scaling_report

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
D_MODELS = [32, 64, 128, 256, 512]
LENGTHS = [8, 16, 32, 64, 128, 256, 512]
BATCH, LAYERS, VOCABULARY = 4, 2, 64


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", choices=list(scaling_report.SECTIONS))
    p.add_argument("--bench-step", type=pathlib.Path, default=ROOT / "build/release/bin/bench_step")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=0.5, help="size: about how long a case is timed")
    p.add_argument("--d-models", nargs="+", type=int, default=D_MODELS)
    p.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    p.add_argument("--sizes", nargs="+", choices=["S", "M", "L"], default=["S", "M", "L"], help="threads")
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    p.add_argument("--steps", type=int, help="threads: timed steps, instead of the size's own")
    p.add_argument("--batch", type=int, help="threads: sequences a step, instead of the size's own")
    p.add_argument("--lines", type=pathlib.Path, help="keep the lines here and leave the page alone")
    p.add_argument("--from", dest="source", type=pathlib.Path, metavar="LINES")
    p.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/benchmarks.md")
    return p.parse_args()


def run(a, options):
    command = [str(a.bench_step), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"failed ({done.returncode}): {' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def shape(d_model, length):
    return {"--d-model": d_model, "--heads": 8 if d_model >= 256 else 4, "--ff": 4 * d_model,
            "--layers": LAYERS, "--length": length, "--batch": BATCH, "--vocabulary": VOCABULARY}


def sizes(a):
    """Every case once a round; the first round finds out how many steps fit the time."""
    steps = {}
    for number in range(a.rounds):
        for d_model in a.d_models:
            for length in a.lengths:
                options = [x for pair in shape(d_model, length).items() for x in pair]
                if number == 0:
                    first = run(a, [*options, "--warmup", 0, "--steps", 1])
                    fitting = int(a.seconds / (1e-3 * first["step_ms_min"]))
                    steps[d_model, length] = max(2, min(1000, fitting))
                count = steps[d_model, length]
                line = run(a, [*options, "--warmup", count // 10, "--steps", count])
                line.update(round=number, load=round(os.getloadavg()[0], 1))
                yield line
        print(f"sizes, round {number}", flush=True)


def threads(a):
    usable = len(os.sched_getaffinity(0))
    counts = [count for count in a.threads if count <= usable]
    if counts != a.threads:
        print(f"left out: more than the {usable} processors here", file=sys.stderr)
    for size in a.sizes:
        for number in range(a.rounds):
            for count in counts:
                options = ["--size", size, "--threads", count]
                options += [] if a.steps is None else ["--steps", a.steps]
                options += [] if a.batch is None else ["--batch", a.batch]
                line = run(a, options)
                line.update(size=size, round=number, load=round(os.getloadavg()[0], 1))
                print(f"{size:3} round {number}: {count:2} threads {line['step_ms']:10.3f} ms", flush=True)
                yield line


def main():
    a = parse()
    source = a.source
    if source is None:
        source = a.lines or ROOT / f"build/compare/{a.part}.jsonl"
        provenance.record(source, a.part, {}, {"size": sizes, "threads": threads}[a.part](a))
    lines = provenance.read(source)
    text, files = scaling_report.SECTIONS[a.part](lines)
    print(f"\n{text}")
    if a.source is not None or a.lines is None:
        compare_report.replace_section(a.page, a.part, text)
        for name, content in files.items():
            (a.page.parent / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
