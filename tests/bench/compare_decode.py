#!/usr/bin/env python3
"""Greedy decoding, one sentence: bin/bench_decode and PyTorch with a key/value cache, interleaved.

    compare_decode.py BIN_FOLDER [--rounds N] [--sizes S M] [--python PYTHON]

Every round runs ours, ours without a cache, and PyTorch with either form of its attention, one after another
on one processor. Prints the median over the rounds and the fastest and slowest one. Ratios are those of the
fastest rounds, which other load disturbs least; PyTorch counts at its faster form.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

PEER = pathlib.Path(__file__).parent / "peers" / "decode_torch.py"


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if result.returncode != 0:
        sys.exit(f"compare_decode: {' '.join(map(str, command))} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def commands(a, size):
    bench = pathlib.Path(a.bin) / "bench_decode"
    torch = [a.python, PEER, "--size", size]
    return {"tapegrad": [bench, "--size", size],
            "tapegrad, no cache": [bench, "--size", size, "--prefixes"],
            "torch, sdpa": torch + ["--attention", "sdpa", "--check"],
            "torch, matmul": torch + ["--attention", "matmul", "--check"]}


def compare(a, size):
    results = {name: [] for name in commands(a, size)}
    for _ in range(a.rounds):
        for name, command in commands(a, size).items():
            results[name].append(run(command))
    fastest = {}
    print(f"{size}, {results['tapegrad'][0]['tokens']} tokens, {results['tapegrad'][0]['isa']}")
    for name, runs in results.items():
        times = sorted(r["us_per_token"] for r in runs)
        sentence = statistics.median(r["sentence_us"] for r in runs)
        fastest[name] = times[0]
        print(f"  {name:20} {statistics.median(times):9.2f} us a token ({times[0]:.2f} to {times[-1]:.2f}), "
              f"{sentence:9.1f} us a sentence")
    ours = fastest["tapegrad"]
    best = min(fastest["torch, sdpa"], fastest["torch, matmul"])
    floor = statistics.median(r["times_floor"] for r in results["tapegrad"])
    prefixes = fastest["tapegrad, no cache"]
    print(f"  {best / ours:.1f} times as fast as PyTorch, {prefixes / ours:.1f} times as without a cache, "
          f"{floor:.2f} times the time to read the weights")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bin", help="folder of bench_decode")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--sizes", nargs="+", default=["S", "M"], choices=["S", "M", "L"])
    p.add_argument("--python", default=sys.executable, help="a Python that has torch")
    a = p.parse_args()
    for size in a.sizes:
        compare(a, size)


if __name__ == "__main__":
    main()
