"""Values and gradients of single operations: PyTorch evaluates the expression of a sample (family "ops")."""
import math

import golden_format  # noqa: F401  before torch
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def attention(query, key, value, keep=None, bias=None, heads=0, scale=None, weights=False, scores=False):
    """scaled_dot_product_attention; keep is True where attended, heads > 0 means [batch, time, heads * dim].

    With `weights` also the attention weights, which PyTorch's function does not give: softmax by hand; with
    `scores` those, too, before the mask.  A row that keeps nothing is zeros.
    """
    if heads:
        query, key, value = (x.unflatten(-1, (heads, -1)).transpose(-3, -2) for x in (query, key, value))
    mask = None if keep is None else keep.bool()
    if bias is not None:
        mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
    if weights:
        s = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if bias is not None:
            s = s + bias
        if keep is not None:
            dead = ~keep.bool().any(-1, keepdim=True)
            kept = s.masked_fill(~keep.bool(), -torch.inf)
            found = torch.softmax(kept.masked_fill(dead, 0), -1).masked_fill(dead, 0)
        else:
            found = torch.softmax(s, -1)
        context = found @ value
    else:
        with sdpa_kernel(SDPBackend.MATH):
            context = F.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    if heads:
        context = context.transpose(-3, -2).flatten(-2)
    return (context, found, s) if scores else (context, found) if weights else context


NAMES = {"torch": torch, "F": F, "nn": torch.nn, "math": math, "attention": attention}


def evaluate(case, tensors):
    count = sum(name.startswith("in.") for name in tensors)
    inputs = [tensors[f"in.{i}"].clone().requires_grad_() for i in range(count)]
    names = {name.removeprefix("const."): x for name, x in tensors.items() if name.startswith("const.")}
    names.update(zip("abcdefgh", inputs))
    # As globals, so that a lambda in the expression sees them.
    outputs = eval(case["torch"], {**NAMES, **names})  # noqa: S307  our own expressions
    if isinstance(outputs, torch.Tensor):
        outputs = (outputs,)
    results = {f"out.{i}": y.detach() for i, y in enumerate(outputs)}
    pairs = [(y, tensors[f"dout.{i}"]) for i, y in enumerate(outputs) if y.requires_grad]
    gradients = [None] * count
    if pairs:
        gradients = torch.autograd.grad([y for y, _ in pairs], inputs, [dy for _, dy in pairs],
                                        allow_unused=True)
    for i, (x, gradient) in enumerate(zip(inputs, gradients)):
        results[f"grad.in.{i}"] = torch.zeros_like(x) if gradient is None else gradient
    return results
