#!/usr/bin/env python3
"""State dicts of every layer case, both ways: state_dict.py TOOL [CASE ...], TOOL = state_dict_tool.

PyTorch saves the counterpart's state dict (safetensors), tapegrad loads it strictly into the layer and saves
it again with equal bytes (tied weights: equal tensors under one of their names), and PyTorch loads
that strictly. Files that lack a tensor, have one too many, one of another shape or of another type are
refused, and the message names each. Prints a PASS: or FAIL: line a case; without PyTorch one SKIP: line.
"""
import pytorch  # noqa: F401  first: without PyTorch it ends here
import json
import pathlib
import subprocess
import sys
import tempfile

from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file, save_model
import torch
import torch_layers

BAD_DATA = 65


def run(tool, *words, expect=0):
    done = subprocess.run([tool, *words], capture_output=True, text=True, timeout=600)
    if done.returncode != expect:
        raise AssertionError(f"{' '.join(map(str, words[:2]))}: exit {done.returncode} instead of {expect}: "
                             f"{done.stderr.strip()}")
    return done


def filled(module, dtype):
    """The module with values that differ everywhere, norms and biases too."""
    torch.manual_seed(1)
    module.to(dtype)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, dtype=torch.float64))
    return module


def is_tied(module):
    return len(list(module.parameters())) < len(list(module.named_parameters(remove_duplicate=False)))


def metadata_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(
        torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


def round_trip(tool, name, case, folder, dtype):
    module = filled(torch_layers.build(case), dtype)
    source, result = folder / "torch.safetensors", folder / "ours.safetensors"
    tied = is_tied(module)
    if tied:
        save_model(module, source, {"format": "pt"})
    else:
        save_file(module.state_dict(), source, {"format": "pt"})
    wide = ["f64"] if dtype == torch.float64 else []
    run(tool, "load", name, source, result, *wide)
    other = torch_layers.build(case).to(dtype)
    if tied:
        assert metadata_of(result)["format"] == "pt"
        assert set(metadata_of(result)) | set(load_file(result)) == {"format", *module.state_dict()}, \
            f"the tie is lost: {metadata_of(result)}"
        load_model(other, result, strict=True)
    else:
        assert source.read_bytes() == result.read_bytes(), "the file that was saved again has other bytes"
        other.load_state_dict(load_file(result), strict=True)
    assert same_state(module, other), "PyTorch reads other values"
    if tied:  # under all of their names, as an ordinary state dict has them
        again = folder / "again.safetensors"
        save_file({key: tensor.clone() for key, tensor in module.state_dict().items()}, source)
        run(tool, "load", name, source, again, *wide)
        assert again.read_bytes() == result.read_bytes(), "all names give other bytes"


def refusals(tool, name, tensors, folder):
    """Each mistake alone, then as many at once as there are tensors for."""
    path = folder / "wrong.safetensors"

    def refused(wrong, names):
        save_file(wrong, path, {"format": "pt"})
        error = run(tool, "load", name, path, folder / "out.safetensors", expect=BAD_DATA).stderr
        assert not (folder / "out.safetensors").exists(), "a file was written all the same"
        for word in names:
            assert f"'{word}'" in error, f"{word} is not named: {error.strip()}"

    keys = sorted(tensors)
    without = {key: tensors[key] for key in keys[1:]}
    if keys:
        wider = torch.zeros(*tensors[keys[0]].shape, 1)
        refused(without, keys[:1])
        refused({**tensors, keys[0]: wider}, keys[:1])
        refused({**tensors, keys[0]: torch.zeros(tensors[keys[0]].shape, dtype=torch.int64)}, keys[:1])
    refused({**tensors, "stranger": torch.zeros(2)}, ["stranger"])
    if len(keys) >= 3:
        all_wrong = {**without, keys[1]: torch.zeros(7, 7, 7), "stranger": torch.zeros(2),
                     keys[2]: torch.zeros(tensors[keys[2]].shape, dtype=torch.int64)}
        refused(all_wrong, [*keys[:3], "stranger"])


def check(tool, name, module, folder):
    case = {"module": module}
    for dtype in (torch.float32, torch.float64):
        round_trip(tool, name, case, folder, dtype)
    built = torch_layers.build(case)
    if not is_tied(built):
        refusals(tool, name, built.state_dict(), folder)
    return len(list(built.parameters()))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tool = sys.argv[1]
    cases = json.loads(run(tool, "list").stdout)
    failed = False
    for name in sys.argv[2:] or cases:
        if not cases[name]:
            continue  # a function
        with tempfile.TemporaryDirectory() as folder:
            try:
                count = check(tool, name, cases[name], pathlib.Path(folder))
                print(f"PASS: {name}: {count} tensors there and back", flush=True)
            except Exception as problem:
                failed = True
                print(f"FAIL: {name}: {problem}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
