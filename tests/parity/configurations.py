"""configurations.py SEQ2SEQ [--seed N ...] [--fresh]: nn.Transformers against bin/parity.

Every combination of the four masks (source, target and memory padding, causal), pre- and post-norm, relu and
gelu, with and without bias, f32 and f64, with sizes, parameters and inputs drawn from the seed; then some
with rows of the source, target or memory that are masked out in full. An error is the largest |difference|
over the largest entry: `out` over its own, gradients over that of all gradients of the run. Prints a line of
JSON for every seed; the worst configurations go to standard error. Ends with 1 when one is over its limit, or
could not be compared. `--fresh` adds a seed from the clock, which is printed first.

In f32 PyTorch's own error is measured too, against its f64. When it exceeds half the limit, rounding
is magnified some hundred times: such a draw is ill conditioned and listed separately, and our error against
the f64 result may be twice PyTorch's.
"""
import argparse
import itertools
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import pytorch  # noqa: F401
import torch
from safetensors.torch import load_file, save_file
from torch import nn

LIMITS = {"f64": 1e-12, "f32": 2e-5}
DTYPES = {"f64": torch.float64, "f32": torch.float32}
MASKS = ("src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask", "tgt_is_causal")
ERRORS = (("error", "ours to PyTorch"), ("ours", "ours to f64"), ("pytorch", "PyTorch to f64"))
SUFFIXES = {"error": "", "ours": "_to_f64", "pytorch": "_pytorch_to_f64"}
FULLY_MASKED = 16
COMBINATIONS = 256


def draw_options(rng, norm_first, activation, bias):
    heads = rng.randint(1, 4)
    return {"d_model": heads * rng.randint(math.ceil(4 / heads), 48 // heads), "nhead": heads,
            "num_encoder_layers": rng.randint(1, 3), "num_decoder_layers": rng.randint(1, 3),
            "dim_feedforward": rng.randint(1, 64), "activation": activation, "norm_first": norm_first,
            "layer_norm_eps": rng.choice((1e-3, 1e-5, 1e-6, 1e-8, 1e-12)), "bias": bias}


def draw_padding(rng, batch, length, first_kept):
    """[batch, length], true = blocked: trailing padding, or here and there. Every row keeps a key."""
    blocked = torch.zeros(batch, length, dtype=torch.bool)
    for row in blocked:
        if rng.random() < 0.5:
            row[rng.randint(1, length):] = True
        else:
            row[:] = torch.tensor([rng.random() < 0.4 for _ in range(length)])
            row[0 if first_kept else rng.randrange(length)] = False
    return blocked


def draw_parameters(model, generator):
    """Every parameter its own, norms and biases too (PyTorch's start at 1 and 0)."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            if p.dim() > 1:
                p.copy_(noise / math.sqrt(p.shape[1]))
            else:
                p.copy_(0.3 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0))


class Configuration:
    """One Transformer with its inputs, in f64 with values that f32 holds exactly where `dtype` is f32."""

    def __init__(self, seed, number, combination, fully_masked=()):
        *masks, norm_first, activation, bias, self.dtype = combination
        rng = random.Random(f"{seed}.{number}")
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        self.number, self.options = number, draw_options(rng, norm_first, activation, bias)
        self.flags = dict(zip(MASKS, masks))
        self.fully_masked = fully_masked
        batch, source, target = rng.randint(1, 4), rng.randint(1, 12), rng.randint(1, 12)
        self.sizes = {"batch": batch, "source": source, "target": target}
        self.masks = {}
        for name, length in zip(MASKS[:3], (source, target, source)):
            if self.flags[name]:
                first_kept = name.startswith("tgt") and self.flags["tgt_is_causal"]
                self.masks[name] = draw_padding(rng, batch, length, first_kept)
        for name in fully_masked:
            self.masks[name][rng.randrange(batch)] = True
        self.model = nn.Transformer(**self.options, dropout=0.0, batch_first=True, dtype=torch.float64)
        draw_parameters(self.model, generator)
        width = self.options["d_model"]
        self.inputs = {name: torch.randn(batch, length, width, generator=generator, dtype=torch.float64)
                       for name, length in (("src", source), ("tgt", target), ("dout", target))}
        self.model.to(DTYPES[self.dtype])
        self.inputs = {name: t.to(DTYPES[self.dtype]) for name, t in self.inputs.items()}

    def __str__(self):
        parts = {**self.options, **self.sizes, "dtype": self.dtype,
                 "masks": "+".join(name for name in MASKS if self.flags[name]) or "none"}
        if self.fully_masked:
            parts["fully masked"] = "+".join(self.fully_masked)
        return f"configuration {self.number}: " + ", ".join(f"{k} {v}" for k, v in parts.items())

    def by_pytorch(self, dtype):
        """PyTorch's out and gradients, computed in `dtype`."""
        model = self.model.to(dtype)
        src, tgt, dout = (self.inputs[name].to(dtype) for name in ("src", "tgt", "dout"))
        leaves = {"src": src.requires_grad_(), "tgt": tgt.requires_grad_(),
                  **{f"model.{name}": p for name, p in model.named_parameters()}}
        causal, length = self.flags["tgt_is_causal"], self.sizes["target"]
        out = model(src, tgt, tgt_is_causal=causal or None,
                    tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1) if causal else None,
                    **self.masks)
        gradients = torch.autograd.grad(out, list(leaves.values()), dout)
        return {"out": out.detach(), **{f"grad.{name}": g for name, g in zip(leaves, gradients)}}

    def save(self, path):
        tensors = {f"model.{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors.update({name: t.detach() for name, t in self.inputs.items()})
        tensors.update({name: mask.to(torch.uint8) for name, mask in self.masks.items()})
        metadata = {**self.options, "tgt_is_causal": self.flags["tgt_is_causal"]}
        save_file(tensors, path, {key: str(value) for key, value in metadata.items()})


def errors(actual, expected):
    """(error of `out`, error of the gradients); infinite where a number is not finite or a tensor lacks."""
    if {n: t.shape for n, t in actual.items()} != {n: t.shape for n, t in expected.items()}:
        return math.inf, math.inf
    largest = {"out": [0.0, 0.0], "grad": [0.0, 0.0]}
    for name, tensor in expected.items():
        difference = (actual[name].double() - tensor.double()).abs().max().item()
        pair = largest["out" if name == "out" else "grad"]
        pair[0] = max(pair[0], difference if math.isfinite(difference) else math.inf)
        pair[1] = max(pair[1], tensor.double().abs().max().item())
    return tuple(difference / max(entry, 1e-300) for difference, entry in largest.values())


def check(configuration, program, folder):
    given, got = folder / "in.safetensors", folder / "out.safetensors"
    got.unlink(missing_ok=True)
    expected = configuration.by_pytorch(DTYPES[configuration.dtype])
    if not all(t.isfinite().all() for t in expected.values()):
        return None  # nothing to compare with
    configuration.save(given)
    run = subprocess.run([program, given, got], stderr=subprocess.PIPE, text=True, timeout=120)
    if run.returncode != 0:
        raise SystemExit(f"FAIL: {configuration}: {run.stderr.strip()}")
    ours = load_file(got)
    result = {"configuration": configuration, "error": errors(ours, expected)}
    if configuration.dtype == "f32":
        exact = configuration.by_pytorch(torch.float64)
        result["ours"], result["pytorch"] = errors(ours, exact), errors(expected, exact)
    return result


def configurations(seed):
    flags = (False, True)
    product = itertools.product(flags, flags, flags, flags, flags, ("relu", "gelu"), flags, LIMITS)
    number = 0
    for combination in product:
        yield Configuration(seed, number, combination)
        number += 1
    for i in range(FULLY_MASKED):
        rows = (MASKS[:1], MASKS[2:3], (MASKS[0], MASKS[2]), MASKS[1:2])[i // 4]
        combination = [name in rows or i % 2 == 1 and name != MASKS[3] for name in MASKS]
        yield Configuration(seed, number, (*combination, i % 3 == 0, ("relu", "gelu")[i % 2], i % 4 < 2,
                                           tuple(LIMITS)[i // 2 % 2]), rows)
        number += 1


def numbers(result):
    """{out, gradients, and in f32 to_f64 and pytorch_to_f64 for both}, three digits each."""
    named = {what + suffix: result[key][i] for key, suffix in SUFFIXES.items() if key in result
             for i, what in enumerate(("out", "gradients"))}
    return {name: float(f"{error:.3g}") for name, error in named.items()}


def summary(results):
    """The largest errors, by dtype."""
    table = {}
    for dtype, limit in LIMITS.items():
        mine = [numbers(r) for r in results if r["configuration"].dtype == dtype]
        table[dtype] = {"configurations": len(mine), "limit": limit,
                        **{name: max(r[name] for r in mine) for name in mine[0]}}
        if dtype == "f32":
            nearer = [r["gradients_to_f64"] < r["gradients_pytorch_to_f64"] for r in mine]
            table[dtype]["nearer_to_f64"] = sum(nearer)
    return table


def verdict(result, limit):
    """`within`, `over`, or `ill conditioned`: over the limit, but so would be any f32."""
    if max(result["error"]) <= limit:
        return "within"
    if "ours" in result and limit / 2 < max(result["pytorch"]) >= max(result["ours"]) / 2:
        return "ill conditioned"
    return "over"


def report(results, seed, worst):
    """Lists the results over a limit, and the worst of the others; {verdict: results}."""
    found = {"within": [], "over": [], "ill conditioned": []}
    for dtype, limit in LIMITS.items():
        mine = [r for r in results if r["configuration"].dtype == dtype]
        for i, r in enumerate(sorted(mine, key=lambda r: -max(r["error"]))):
            text = f"seed {seed}, {r['configuration']}: " + "; ".join(
                f"{what} out {r[key][0]:.3g}, gradients {r[key][1]:.3g}" for key, what in ERRORS if key in r)
            state = verdict(r, limit)
            found[state].append(r)
            if state == "over":
                print(f"FAIL: {text}")
            elif state != "within" or i < worst:
                print(f"{state}: {text}", file=sys.stderr)
    return found


def missing(results, seed):
    """Complaints about configurations that were not compared."""
    masked = sum(bool(r["configuration"].fully_masked) for r in results)
    for what, count, wanted in (("combinations", len(results) - masked, COMBINATIONS),
                                ("configurations with rows masked in full", masked, FULLY_MASKED)):
        if count != wanted:
            yield f"FAIL: seed {seed}: {count} {what} compared, expected {wanted}"


def run(program, seed, worst):
    """Runs all configurations of a seed; true when none fails."""
    begin, results, dropped = time.monotonic(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for configuration in configurations(seed):
            result = check(configuration, program, pathlib.Path(folder))
            if result:
                results.append(result)
            else:
                dropped.append(f"FAIL: seed {seed}, {configuration}: PyTorch's result is not finite")
    found = report(results, seed, worst)
    complaints = [*dropped, *missing(results, seed)]
    for complaint in complaints:
        print(complaint)
    ill = [{"configuration": str(r["configuration"]), **numbers(r)} for r in found["ill conditioned"]]
    fully_masked = sum(bool(r["configuration"].fully_masked) for r in results)
    print(json.dumps({"seed": seed, "torch": torch.__version__, "configurations": len(results),
                      "fully_masked": fully_masked, "pytorch_not_finite": len(dropped),
                      "failed": len(found["over"]), "ill_conditioned": ill,
                      "seconds": round(time.monotonic() - begin, 1),
                      **summary(found["within"] + found["over"])}), flush=True)
    return not found["over"] and not complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--fresh", action="store_true", help="one more seed, from the clock")
    parser.add_argument("--worst", type=int, default=3, help="configurations listed for each dtype")
    arguments = parser.parse_args()
    seeds = list(arguments.seed)
    if arguments.fresh:
        seeds.append(time.time_ns() // 1_000_000 % 1_000_000_000)
        print(f"seed from the clock: repeat with --seed {seeds[-1]}", flush=True)
    well = [run(arguments.program.resolve(), seed, arguments.worst) for seed in seeds]
    sys.exit(not all(well))


if __name__ == "__main__":
    main()
