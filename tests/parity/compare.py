#!/usr/bin/env python3
"""Compares tapegrad's results with PyTorch, case by case; needs PyTorch (see README.md).

    compare.py [--tool build/NAME/tests/parity_tool] [--seed N] [--dtype f32|f64] [FAMILY ...]

Without families: all.  Without --dtype: both.  Prints one JSON line per family and dtype, then PASS: or FAIL:
lines, and exits with 1 when an error is above its limit:

    max_error    largest |difference| over the largest entry of all gradients of the case, or of all its
                 outputs (at least 0.1); in f32 from the nearer of PyTorch in f32 and PyTorch in f64 on the
                 these inputs, since PyTorch's own rounding is not tapegrad's error
    pytorch_f32  (f32) that rounding: PyTorch in f32 against PyTorch in f64
    none         cases that have no counterpart in PyTorch, and why
"""
import argparse
import json
import sys

import torch_cases

LIMITS = {"f64": 1e-12, "f32": 2e-5}


def errors_of(function, case, tensors, dtype):
    """The error of a case; in f32 also PyTorch's own."""
    exact = {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}
    expected = torch_cases.evaluate(function, case, exact)
    error = torch_cases.error_of_case(tensors, expected)
    if dtype == "f64":
        return error, {}
    rounded = torch_cases.evaluate(function, case, tensors)
    return (min(error, torch_cases.error_of_case(tensors, rounded)),
            {"pytorch_f32": torch_cases.error_of_case(rounded, expected)})


def compare(tool, family, seed, dtype):
    """The line to print, and the failures."""
    function = torch_cases.evaluator(family)
    line = {"family": family, "dtype": dtype, "seed": seed, "cases": 0, "max_error": 0.0, "worst": None,
            "limit": LIMITS[dtype]}
    without = {}
    failures = []
    for case, tensors in torch_cases.cases_of(tool, family, seed, dtype):
        complaint = torch_cases.explain(family, case)
        if complaint:
            failures.append(complaint)
            continue
        if case["torch"].startswith("none: "):
            without[case["name"]] = case["torch"].removeprefix("none: ")
            continue
        try:
            error, others = errors_of(function, case, tensors, dtype)
        except ValueError as problem:
            failures.append(f"{family} {dtype}: {case['name']}: {problem}")
            continue
        line["cases"] += 1
        for key, value in others.items():
            line[key] = max(line.get(key, 0.0), value)
        if not error <= LIMITS[dtype]:
            failures.append(f"{family} {dtype}: {case['name']}: error {error:.3g}, allowed "
                            f"{LIMITS[dtype]:.2g}; PyTorch: {case['torch']}")
        if not error <= line["max_error"]:
            line["max_error"], line["worst"] = error, case["name"]
    return {**line, "none": without}, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", help="parity_tool of a build (the newest below build/)")
    parser.add_argument("--seed", type=int, default=torch_cases.GOLDEN_SEED)
    parser.add_argument("--dtype", choices=list(LIMITS))
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    arguments = parser.parse_args()
    tool = arguments.tool or torch_cases.find_tool()
    failures = []
    for family in arguments.families or torch_cases.families(tool):
        for dtype in [arguments.dtype] if arguments.dtype else LIMITS:
            try:
                line, failed = compare(tool, family, arguments.seed, dtype)
            except ValueError as problem:
                failures.append(f"{family} {dtype}: {problem}")
                continue
            print(json.dumps(line), flush=True)
            if not failed:
                print(f"PASS: {family} {dtype}: {line['cases']} cases")
            failures += failed
    for failure in failures:
        print(f"FAIL: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
