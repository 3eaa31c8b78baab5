#!/usr/bin/env python3
"""First values of every layer case against PyTorch's: first_values.py TOOL [CASE ...].

TOOL is the state_dict_tool of a build.
Both make each layer many times. Constants must be equal; of other values, mean, deviation and largest
|value| must agree within the sampling error. Intended differences are in ON_PURPOSE with their reasons.
Prints a PASS: or FAIL: line for each case; without PyTorch one SKIP: line.
"""
import pytorch  # noqa: F401  first: without PyTorch it ends here
import fnmatch
import json
import math
import pathlib
import re
import sys
import tempfile

from safetensors.torch import load_file
import state_dict
import torch
import torch_layers

LAYERS = 40
ON_PURPOSE = {  # CASE PARAMETER: why
    "Linear: first values of its own *": "the case says so",
    "Embedding: padding weight": "the case says N(0, 1/4)",
    "LearnedPositions: first values of its own *": "the case says so",
    "Transformer: * *.out_proj.weight": "U(±1/√d_model) as in MultiHeadAttention; PyTorch's Transformer "
                                        "draws it xavier-uniform as all of its matrices",
    "FeedForward* *.weight": "xavier-uniform, as nn.Transformer draws it; the counterpart has nn.Linear's",
    "*coder* linear?.weight": "xavier-uniform, as within nn.Transformer; PyTorch's parts have nn.Linear's",
    "*coder* layers.*.linear?.weight": "the same",
    "Seq2Seq* *_emb.weight": "N(0, 1/d_model), since the model multiplies by √d_model",
    "Seq2Seq* *.out_proj.weight": "as in Transformer",
    "Seq2Seq* generator.*": "xavier-uniform, bias 0; the counterpart has nn.Linear's",
}


def pooled(tensors, parameter_of):
    """{parameter: all values of all layers}"""
    parts = {}
    for key, tensor in tensors.items():
        parts.setdefault(parameter_of(key), []).append(tensor.detach().double().flatten())
    return {parameter: torch.cat(values) for parameter, values in parts.items()}


def difference(ours, theirs):
    """A significant difference of the two samples, or None."""
    if ours.min() == ours.max() or theirs.min() == theirs.max():
        same = ours.min() == theirs.min() and ours.max() == theirs.max()
        return None if same else f"{ours[0]:.4g} … against {theirs[0]:.4g} …"
    if set(ours.tolist()) == set(theirs.tolist()):
        return None  # a table
    slack = 5 / math.sqrt(len(ours))
    for what, a, b in (("deviation", ours.std(), theirs.std()),
                       ("mean", theirs.std() + ours.mean(), theirs.std() + theirs.mean()),
                       ("largest", ours.abs().max(), theirs.abs().max())):
        if abs(a / b - 1) > max(slack, 0.25 if what == "largest" else 0):
            return f"{what}: {a:.4g} against {b:.4g}"
    return None


def check(tool, name, module, folder):
    """(parameters compared, complaints, the entries of ON_PURPOSE that were used)"""
    path = folder / "first.safetensors"
    state_dict.run(tool, "first", name, path, str(LAYERS))
    ours = pooled(load_file(path), lambda key: key.partition("/")[2])
    torch.manual_seed(7)
    made = [torch_layers.build({"module": module}).state_dict() for _ in range(LAYERS)]
    theirs = pooled({(i, key): tensor for i, state in enumerate(made) for key, tensor in state.items()},
                    lambda key: key[1])
    complaints, used = [], set()
    for parameter in ours:
        found = difference(ours[parameter], theirs[parameter])
        purpose = [entry for entry in ON_PURPOSE
                   if fnmatch.fnmatch(f"{name} {parameter}", re.sub(r"\[", "[[]", entry))]
        if found and purpose:
            used.update(purpose)
        elif found:
            complaints.append(f"{parameter}: {found}")
    return len(ours), complaints, used


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tool = sys.argv[1]
    cases = json.loads(state_dict.run(tool, "list").stdout)
    failed, used = False, set()
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[2:] or cases:
            if not cases[name]:
                continue
            count, complaints, purposes = check(tool, name, cases[name], pathlib.Path(folder))
            used |= purposes
            failed |= bool(complaints)
            print(f"FAIL: {name}: {'; '.join(complaints)}" if complaints else
                  f"PASS: {name}: {count} parameters begin as in PyTorch", flush=True)
    if len(sys.argv) == 2:
        for entry in ON_PURPOSE.keys() - used:
            print(f"FAIL: ON_PURPOSE names '{entry}', where no difference is")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
