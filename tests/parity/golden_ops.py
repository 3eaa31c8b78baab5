"""Golden values and gradients of single operations, under `<case>.<tensor>`.

A case holds its inputs by name, the result `y`, a random cotangent `dy` of y's shape, and `grad.<input>` of
<y, dy>.  Its attributes stand in the metadata under the case's name, as JSON.  Integers are I64, masks U8.
"""
import json

from golden_format import draw
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SPECIAL = [-40.0, -20.0, -5.0, -0.5, 0.25, 1.0, 5.0, 20.0, 40.0]
IDS = torch.tensor([[1, 3, 0, 3], [5, 0, 2, 3]])
TARGETS = torch.tensor([1, 0, 4, 2, 0, 1])


class Cases:
    def __init__(self):
        self.tensors, self.metadata = {}, {}

    def add(self, name, function, inputs, constants=None, **attributes):
        """`inputs` maps names to shapes (drawn) or tensors; `constants` are inputs without a gradient."""
        leaves = {key: (value.clone() if isinstance(value, torch.Tensor) else draw(f"{name}.{key}", *value))
                  .requires_grad_() for key, value in inputs.items()}
        constants = constants or {}
        y = function(**leaves, **constants)
        dy = draw(name + ".dy", *y.shape)
        gradients = torch.autograd.grad(y, list(leaves.values()), dy)
        found = {**leaves, **constants, "y": y, "dy": dy}
        found.update({f"grad.{key}": gradient for key, gradient in zip(leaves, gradients)})
        self.tensors.update({f"{name}.{key}": tensor for key, tensor in found.items()})
        self.metadata[name] = json.dumps(attributes)


def linear(x, weight, bias=None):
    return F.linear(x, weight, bias)


def add_layers(cases):
    cases.add("linear", linear, {"x": (3, 4), "weight": (5, 4), "bias": (5,)})
    cases.add("linear_batch", linear, {"x": (2, 3, 4), "weight": (5, 4), "bias": (5,)})
    cases.add("linear_no_bias", linear, {"x": (3, 4), "weight": (5, 4)})
    for name, scale, eps in (("layer_norm", 1.0, 1e-5), ("layer_norm_small", 1e-3, 1e-5),
                             ("layer_norm_eps", 1.0, 0.1)):
        x = draw(name + ".x", 2, 3, 8, scale=scale)
        cases.add(name, lambda x, weight, bias: F.layer_norm(x, (8,), weight, bias, eps),
                  {"x": x, "weight": (8,), "bias": (8,)}, eps=eps)
    cases.add("layer_norm_plain", lambda x: F.layer_norm(x, (8,)), {"x": (3, 8)}, eps=1e-5)
    cases.add("rms_norm", lambda x, weight: F.rms_norm(x, (8,), weight, 1e-6),
              {"x": (2, 3, 8), "weight": (8,)}, eps=1e-6)
    cases.add("embedding", lambda weight, ids: F.embedding(ids, weight), {"weight": (6, 3)}, {"ids": IDS})
    cases.add("embedding_padding", lambda weight, ids: F.embedding(ids, weight, padding_idx=0),
              {"weight": (6, 3)}, {"ids": IDS}, padding_idx=0)


def add_elementwise(cases):
    functions = {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu,
                 "tanh": torch.tanh, "sigmoid": torch.sigmoid, "silu": F.silu, "softplus": F.softplus}
    special = torch.tensor(SPECIAL, dtype=torch.float64)
    x = torch.cat([draw("elementwise.x", 9, scale=2.0), special]).reshape(3, 6)
    assert x.abs().min() > 0.01  # Away from relu's kink.
    for name, function in functions.items():
        cases.add(name, lambda x: function(x), {"x": x})
    for name, function, a, b in (("add", torch.add, (2, 3, 4), (4,)), ("sub", torch.sub, (), (2, 3)),
                                 ("mul", torch.mul, (2, 1, 4), (3, 1)),
                                 ("mul_same", torch.mul, (2, 3), (2, 3))):
        cases.add(name, lambda a, b: function(a, b), {"a": a, "b": b})
    cases.add("div", lambda a, b: a / b, {"a": (2, 3, 4), "b": draw("div.b", 2, 1, 1, scale=0.2, mean=-1.5)})


def add_softmax(cases):
    functions = {"softmax": torch.softmax, "log_softmax": torch.log_softmax, "logsumexp": torch.logsumexp}
    for name, function in functions.items():
        for suffix, dim, scale in (("", -1, 1.0), ("_dim1", 1, 1.0), ("_large", -1, 300.0)):
            x = draw(name + ".x", 2, 3, 5, scale=scale)
            cases.add(name + suffix, lambda x: function(x, dim), {"x": x}, dim=dim)


def add_cross_entropy(cases):
    def add(name, scale=1.0, **options):
        cases.add(name, lambda logits, target: F.cross_entropy(logits, target, **options),
                  {"logits": draw(name + ".logits", 6, 5, scale=scale)}, {"target": TARGETS}, **options)

    for reduction in ("mean", "sum"):
        for name, options in (("", {}), ("ignore_", {"ignore_index": 0}),
                              ("smooth_", {"label_smoothing": 0.1}),
                              ("ignore_smooth_", {"ignore_index": 0, "label_smoothing": 0.1})):
            add(f"cross_entropy_{name}{reduction}", reduction=reduction, **options)
    add("cross_entropy_none", reduction="none", ignore_index=0, label_smoothing=0.1)
    add("cross_entropy_large", scale=300.0, reduction="mean")


def add_attention(cases):
    shapes = {"query": (2, 2, 3, 4), "key": (2, 2, 5, 4), "value": (2, 2, 5, 4)}
    square = {key: (2, 2, 4, 4) for key in shapes}
    keep = torch.tensor([[[[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]]],
                         [[[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 0, 0, 1]]]]).bool()  # [2, 1, 3, 5]
    masked_row = keep.clone()
    masked_row[0, 0, 1] = False
    valid = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    causal_padded = torch.ones(4, 4).tril().bool() & valid[:, None, None]  # [2, 1, 4, 4]

    def attend(query, key, value, keep=None, bias=None, **options):
        if keep is not None:
            keep = keep.bool()
        if bias is not None and keep is not None:
            bias = bias.masked_fill(~keep, -torch.inf)
        mask = keep if bias is None else bias
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(query, key, value, mask, **options)

    cases.add("attention", attend, shapes)
    cases.add("attention_scale", lambda **t: attend(**t, scale=0.3), shapes, scale=0.3)
    cases.add("attention_causal", lambda **t: attend(**t, is_causal=True), square, is_causal=True)
    cases.add("attention_mask", attend, shapes, {"keep": keep})
    cases.add("attention_causal_padding", attend, square, {"keep": causal_padded})
    cases.add("attention_masked_row", attend, shapes, {"keep": masked_row},
              note="row 1 of batch 0 keeps nothing: zeros")
    cases.add("attention_bias", attend, {**shapes, "bias": (2, 2, 3, 5)})
    cases.add("attention_bias_broadcast", attend, {**shapes, "bias": (2, 3, 5)})
    cases.add("attention_bias_mask", attend, {**shapes, "bias": (1, 2, 3, 5)}, {"keep": keep})


def add_matmul_and_reductions(cases):
    for name, a, b in (("matmul", (3, 4), (4, 2)), ("matmul_batch", (2, 3, 4), (2, 4, 5)),
                       ("matmul_right_2d", (2, 3, 4), (4, 5)), ("matmul_broadcast", (2, 1, 3, 4), (5, 4, 2))):
        cases.add(name, lambda a, b: a @ b, {"a": a, "b": b})
    cases.add("matmul_transposed", lambda a, b: a @ b.mT, {"a": (2, 3, 4), "b": (2, 5, 4)}, note="a b^T")
    x = draw("reduce.x", 2, 3, 4)
    assert x.unique().numel() == x.numel()  # One maximum in every slice.
    for name, function, attributes in (
            ("sum_dim1", lambda x: x.sum(1), {"dim": [1]}), ("mean", torch.mean, {"dim": [0, 1, 2]}),
            ("mean_dim1_keep", lambda x: x.mean(1, keepdim=True), {"dim": [1], "keepdim": True}),
            ("mean_dims02", lambda x: x.mean((0, 2)), {"dim": [0, 2]}),
            ("var_biased", lambda x: x.var(-1, correction=0), {"dim": [2], "correction": 0}),
            ("var_unbiased", lambda x: x.var(-1, correction=1), {"dim": [2], "correction": 1}),
            ("max_all", torch.max, {"dim": [0, 1, 2]}), ("max_dim1", lambda x: x.amax(1), {"dim": [1]}),
            ("min_dim2", lambda x: x.amin(2), {"dim": [2]})):
        cases.add(name, lambda x: function(x), {"x": x}, **attributes)
    ties = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
    cases.add("max_ties", lambda x: x.amax(1), {"x": ties}, dim=[1],
              note="equal maxima share the gradient equally")


def files():
    cases = Cases()
    for add in (add_layers, add_elementwise, add_softmax, add_cross_entropy, add_attention,
                add_matmul_and_reductions):
        add(cases)
    return {"ops": (cases.tensors, cases.metadata)}
