#!/usr/bin/env python3
"""Writes the golden files of the parity tests from PyTorch (torch==2.13.0, numpy; CPU, f64).

    make_golden.py [--tool build/NAME/tests/parity_tool] [FILE ...]     write golden/FILE.safetensors beside
                                                                        this script, or all
    make_golden.py [--tool build/NAME/tests/parity_tool] --check        compare instead; 1 on a difference

One file per family of parity_tool, in which a case is one flat f64 tensor: its results in order of their
names, row-major.  And those that the golden_*.py beside this script make (`files()`), which hold their inputs
too.
"""
import argparse
import importlib
import pathlib
import sys

import golden_format
import numpy as np
import torch
import torch_cases

HERE = pathlib.Path(__file__).resolve().parent / "golden"
LIMIT = 1_000_000
TOLERANCE = 1e-12  # relative to the largest entry: other processors round other ways


def family_file(tool, family):
    function = torch_cases.evaluator(family)
    tensors = {}
    for case, inputs in torch_cases.cases_of(tool, family):
        complaint = torch_cases.explain(family, case)
        if complaint:
            raise SystemExit(complaint)
        if case["torch"].startswith("none: "):
            continue
        try:
            results = torch_cases.evaluate(function, case, inputs)
        except ValueError as problem:
            raise SystemExit(f"{family}: {case['name']}: {problem}") from problem
        flat = [results[name].detach().double().flatten() for name in sorted(results)]
        tensors[case["name"]] = torch.cat(flat) if flat else torch.zeros(0, dtype=torch.float64)
    return tensors, {}


def written_by_scripts():
    files = {}
    for path in sorted(HERE.parent.glob("golden_*.py")):
        files.update(getattr(importlib.import_module(path.stem), "files", dict)())
    return files


def differences(path, tensors, metadata):
    """The differences between a golden file and its expected content."""
    if not path.exists():
        yield f"{path.name} is missing"
        return
    arrays, found = torch_cases.read_safetensors(path)
    if found != metadata:
        yield f"{path.name}: other metadata"
    for name in sorted(arrays.keys() ^ tensors.keys()):
        yield f"{path.name}: {name} is {'no longer a case' if name in arrays else 'missing'}"
    for name in sorted(arrays.keys() & tensors.keys()):
        old, new = arrays[name], golden_format.as_array(tensors[name])
        if old.shape != new.shape or old.dtype != new.dtype:
            yield f"{path.name}: {name}: {old.dtype} {old.shape} in the file, {new.dtype} {new.shape} now"
            continue
        scale = max([1.0, *np.abs(new[np.isfinite(new)]).flatten()])
        distance = np.where(old == new, 0.0, np.abs(old.astype(float) - new) / scale)
        if not np.all(distance <= TOLERANCE):
            yield f"{path.name}: {name} differs by {np.max(distance):.3g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", help="parity_tool of a build (the newest below build/)")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("names", nargs="*", metavar="FILE", help="families or files (all)")
    arguments = parser.parse_args()
    if torch.__version__.partition("+")[0] != "2.13.0":
        sys.exit(f"make_golden.py: needs torch 2.13.0, found {torch.__version__}")
    tool = arguments.tool or torch_cases.find_tool()
    files = written_by_scripts()
    for family in torch_cases.families(tool):
        if not arguments.names or family in arguments.names:
            files[family] = family_file(tool, family)
    if arguments.names:
        files = {name: files[name] for name in arguments.names}
    HERE.mkdir(exist_ok=True)
    found, total = [], 0
    for name, (tensors, metadata) in files.items():
        metadata = {"format": "pt", "torch": "2.13.0", **metadata}
        content = golden_format.encode(tensors, metadata)
        total += len(content)
        path = HERE / f"{name}.safetensors"
        if arguments.check:
            found += differences(path, tensors, metadata)
        else:
            path.write_bytes(content)
    if not arguments.names:
        found += [f"{path.name} is written by nothing" for path in HERE.glob("*") if path.stem not in files]
    if total > LIMIT:
        found.append(f"{total} bytes, more than {LIMIT}")
    for line in found:
        print(f"FAIL: {line}")
    print(f"{'FAIL' if found else 'PASS'}: {len(files)} golden files, {total} bytes")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
