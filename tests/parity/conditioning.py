"""The error of a case beside its condition number: how far its results move when its data are rounded.

The forward error of a result is its distance from PyTorch's f64. The condition number tells how much a
relative change of the data is magnified on its way to the result: a layer norm over a row that is nearly
constant, for example, magnifies rounding some hundred times, whoever computes it. Forward error over
condition number estimates the backward error: the relative change of the data that explains the error. In
units of the roundoff (2^-24 in f32, 2^-53 in f64) a stable computation has a backward error of about 1
(N. J. Higham, Accuracy and Stability of Numerical Algorithms, sections 1.5 and 1.6).
"""
import itertools
import math

import portable

ROUNDOFF = {"f64": 2.0**-53, "f32": 2.0**-24}
KINDS = ("out", "gradients")


def forward_errors(actual, expected):
    """{kind: largest |difference| over the largest entry}, for `out`, and for all gradients together;
    infinite where a number is not finite or a tensor is missing."""
    if {n: t.shape for n, t in actual.items()} != {n: t.shape for n, t in expected.items()}:
        return dict.fromkeys(KINDS, math.inf)
    largest = {kind: [0.0, 0.0] for kind in KINDS}
    for name, tensor in expected.items():
        difference = (actual[name].double() - tensor.double()).abs().max().item()
        pair = largest["out" if name == "out" else "gradients"]
        pair[0] = max(pair[0], difference if math.isfinite(difference) else math.inf)
        pair[1] = max(pair[1], tensor.double().abs().max().item())
    return {kind: difference / max(entry, 1e-300) for kind, (difference, entry) in largest.items()}


def condition_numbers(case, exact):
    """Estimates {kind: condition number} from below, each with one draw more: the largest change of the
    result when every parameter, input and cotangent changes by 2^-24 of itself, up or down at random, over
    2^-24, computed in f64. An estimate is at least 1, for the result is rounded too."""
    found = dict.fromkeys(KINDS, 1.0)
    for draw in itertools.count():
        changed = {name: t.double() * (1 + ROUNDOFF["f32"] * portable.signs(f"{draw} {name}", *t.shape))
                   for name, t in case.tensors.items()}
        changes = forward_errors(case.by_pytorch("f64", changed), exact)
        found = {kind: max(found[kind], changes[kind] / ROUNDOFF["f32"]) for kind in KINDS}
        yield found


def backward_errors(errors, conditions, dtype):
    """{kind: backward error in units of the roundoff of `dtype`}"""
    return {kind: errors[kind] / (conditions[kind] * ROUNDOFF[dtype]) for kind in KINDS}
