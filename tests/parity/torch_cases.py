"""Cases of parity_tool, and PyTorch's results for them.

A family's evaluator is `evaluate(case, tensors)` of torch_FAMILY.py, or of the torch_*.py whose `FAMILIES`
names it: case = {"name", "torch", "module"}, tensors by name (`in.0`, `const.ids`, `param.weight`, `dout.0`,
…); it returns the results by name (`out.0`, `grad.in.0`, `grad.param.weight`, `after.50.weight`, …).
"""
import importlib
import json
import os
import pathlib
import subprocess
import tempfile

import golden_format  # noqa: F401  pins PyTorch's code paths: before torch
import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
KINDS = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8,
         "BOOL": np.bool_}
GOLDEN_SEED = 1


def is_result(name):
    return name.partition(".")[0] in ("out", "grad", "after")


def read_safetensors(path):
    """Arrays by name, and the metadata."""
    content = pathlib.Path(path).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(content[begin:end], KINDS[entry["dtype"]]).reshape(entry["shape"])
    return arrays, metadata


def find_tool():
    """The newest parity_tool below build/."""
    found = list(HERE.parents[1].glob("build/*/tests/parity_tool"))
    if not found:
        raise SystemExit("no build/*/tests/parity_tool; build the target parity_tool, or name it with --tool")
    return max(found, key=os.path.getmtime)


def families(tool):
    listed = subprocess.run([tool, "--list"], check=True, capture_output=True, text=True, timeout=600)
    return sorted(listed.stdout.split())


def cases_of(tool, family, seed=GOLDEN_SEED, dtype="f64"):
    """(case, {name: tensor}) of every case of a family, in order of their names."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cases.safetensors")
        command = [tool, family, path, "--seed", str(seed), "--dtype", dtype]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=600)
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        arrays, metadata = read_safetensors(path)
    found = {name: {} for name in json.loads(metadata["cases"])}
    for name, array in arrays.items():
        case, _, rest = name.rpartition("/")
        is_mask = array.dtype in (np.bool_, np.uint8)
        found[case][rest] = torch.from_numpy(array.astype(np.bool_ if is_mask else array.dtype))
    for name, case in sorted(json.loads(metadata["cases"]).items()):
        yield {"name": name, **case}, found[name]


def evaluator(family):
    modules = [path.stem for path in sorted(HERE.glob("torch_*.py")) if path.stem != "torch_cases"]
    if f"torch_{family}" in modules:
        return importlib.import_module(f"torch_{family}").evaluate
    for module in map(importlib.import_module, modules):
        if family in getattr(module, "FAMILIES", ()):
            return module.evaluate
    raise SystemExit(f"{family}: no torch_{family}.py, and no torch_*.py whose FAMILIES names it")


def explain(family, case):
    """The fault of a case without a PyTorch counterpart, or None."""
    if case["torch"]:
        return None
    return (f"{family}: {case['name']} does not say what PyTorch calls it: give its Sample or ParityCase a "
            "`torch`, Python over a, b, … and its constants, or `none: REASON`")


def error_of_case(actual, expected):
    """As test::error_of_case of case.h: per kind the largest difference over the largest entry."""
    kinds = {}
    for name, want in expected.items():
        found, want = actual[name].double(), want.detach().double()
        if found.shape != want.shape:
            raise ValueError(f"{name} is {list(found.shape)} here and {list(want.shape)} in PyTorch")
        difference = torch.where(found == want, 0.0, (found - want).abs())
        worst = difference.nan_to_num(nan=torch.inf, posinf=torch.inf).max().item() if want.numel() else 0.0
        finite = want[want.isfinite()]
        largest = finite.abs().max().item() if finite.numel() else 0.0
        kind = kinds.setdefault(name.partition(".")[0], [0.0, 0.1])
        kind[:] = max(kind[0], worst), max(kind[1], largest)
    return max((worst / largest for worst, largest in kinds.values()), default=0.0)


def evaluate(function, case, tensors):
    """The results of a case by PyTorch; they must be those that tapegrad has."""
    try:
        results = function(case, tensors)
    except Exception as error:
        raise ValueError(f"PyTorch fails at `{case['torch']}`: {error!r}") from error
    wanted = {name for name in tensors if is_result(name)}
    if set(results) != wanted:
        raise ValueError(f"tapegrad has {sorted(wanted)}, PyTorch {sorted(results)}")
    return results
