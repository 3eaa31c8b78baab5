"""One nn.Transformer with its numbers: drawn or read from a file, computed by PyTorch, saved for tapegrad."""
import ast
import itertools
import math

import portable
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

DTYPES = {"f64": torch.float64, "f32": torch.float32}
PADDINGS = ("src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
INPUTS = ("src", "tgt", "dout")
KINK = 1e-4


class TransformerCase:
    """`tensors`: the parameters under `model.`, and `src`, `tgt` and the cotangent `dout`
    [batch, time, d_model], all of the case's dtype; `masks`: padding masks [batch, time], true = blocked."""

    def __init__(self, options, causal):
        self.options, self.causal = options, causal
        self.tensors, self.masks = {}, {}
        self.model = nn.Transformer(**options, dropout=0.0, batch_first=True, device="meta")

    @property
    def dtype(self):
        return next(name for name, dtype in DTYPES.items() if dtype == self.tensors["src"].dtype)

    def __str__(self):
        batch, source, _ = self.tensors["src"].shape
        masks = [*self.masks, *["tgt_is_causal"] * self.causal]
        parts = {**self.options, "batch": batch, "source": source, "target": self.tensors["tgt"].shape[1],
                 "dtype": self.dtype, "masks": "+".join(masks) or "none"}
        full = [name for name, mask in self.masks.items() if mask.all(1).any()]
        if full:
            parts["fully masked"] = "+".join(full)
        return ", ".join(f"{name} {value}" for name, value in parts.items())

    def forward(self, tensors):
        length = tensors["tgt"].shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).triu(1) if self.causal else None
        parameters = {name[len("model."):]: t for name, t in tensors.items() if name.startswith("model.")}
        options = {"tgt_mask": causal, "tgt_is_causal": self.causal or None, **self.masks}
        inputs = (tensors["src"], tensors["tgt"])
        return torch.func.functional_call(self.model, parameters, inputs, options, strict=True)

    def by_pytorch(self, dtype, tensors=None):
        """PyTorch's `out` and the gradients of <out, dout>, computed in `dtype`."""
        leaves = {name: t.detach().to(DTYPES[dtype]) for name, t in (tensors or self.tensors).items()}
        dout = leaves.pop("dout")
        for leaf in leaves.values():
            leaf.requires_grad_()
        out = self.forward(leaves)
        gradients = torch.autograd.grad(out, list(leaves.values()), dout)
        return {"out": out.detach(), **{f"grad.{name}": g for name, g in zip(leaves, gradients)}}

    def near_a_kink(self):
        """Whether an input of a relu is so near to 0 that rounding may decide on which side it is, and so
        change the gradients by far more than rounding."""
        if self.options["activation"] != "relu":
            return False
        near = []
        hooks = [module.register_forward_hook(lambda module, inputs, x: near.append(
                     x.abs().min() < KINK * x.square().mean().sqrt()))
                 for name, module in self.model.named_modules() if name.endswith("linear1")]
        with torch.no_grad():
            self.forward({name: t.double() for name, t in self.tensors.items()})
        for hook in hooks:
            hook.remove()
        return any(near)

    def content(self):
        """Bytes that tell this case from another."""
        parts = [repr(sorted(self.options.items())).encode(), *map(str.encode, sorted(self.masks))]
        for values in (self.masks, self.tensors):
            parts += [values[name].numpy().tobytes() for name in sorted(values)]
        return b"".join(parts)

    def save(self, path):
        metadata = {**self.options, "tgt_is_causal": self.causal}
        masks = {name: mask.to(torch.uint8) for name, mask in self.masks.items()}
        save_file({**self.tensors, **masks}, path, {key: str(value) for key, value in metadata.items()})


def read_case(path):
    """A case that `save` wrote."""
    with safe_open(path, "pt") as file:
        options = {key: value if key == "activation" else ast.literal_eval(value)
                   for key, value in file.metadata().items()}
        case = TransformerCase(options, options.pop("tgt_is_causal"))
        case.tensors = {name: file.get_tensor(name) for name in file.keys() if name not in PADDINGS}
        case.masks = {name: file.get_tensor(name).bool() for name in file.keys() if name in PADDINGS}
    return case


def draw_options(draws, fixed):
    heads = draws.whole(1, 4)
    return {"d_model": heads * draws.whole(math.ceil(4 / heads), 48 // heads), "nhead": heads,
            "num_encoder_layers": draws.whole(1, 3), "num_decoder_layers": draws.whole(1, 3),
            "dim_feedforward": draws.whole(1, 64),
            "layer_norm_eps": draws.choice((1e-3, 1e-5, 1e-6, 1e-8, 1e-12)), **fixed}


def draw_padding(draws, batch, length, first_kept):
    """[batch, length], true = blocked: trailing padding, or here and there. Every row keeps a key."""
    blocked = torch.zeros(batch, length, dtype=torch.bool)
    for row in blocked:
        if draws.whole(0, 1):
            row[draws.whole(1, length):] = True
        else:
            row[:] = torch.tensor([draws.whole(1, 10) <= 4 for _ in range(length)])
            row[0 if first_kept else draws.whole(0, length - 1)] = False
    return blocked


def draw_parameter(key, name, shape):
    """Norms and biases differ everywhere too (PyTorch's start at 1 and 0)."""
    noise = portable.normal(key, *shape)
    if len(shape) > 1:
        return noise * (1 / math.sqrt(shape[1]))
    return noise * 0.3 + (1.0 if "norm" in name and name.endswith("weight") else 0.0)


def draw_once(key, dtype, padded, fully_masked, causal, fixed):
    draws = portable.Draws(key)
    case = TransformerCase(draw_options(draws, fixed), causal)
    batch, source, target = draws.whole(1, 4), draws.whole(1, 12), draws.whole(1, 12)
    times = {"src": source, "tgt": target, "dout": target}
    for name, time in zip(PADDINGS, (source, target, source)):
        if name in padded:
            case.masks[name] = draw_padding(draws, batch, time, name.startswith("tgt") and causal)
    for name in fully_masked:
        case.masks[name][draws.whole(0, batch - 1)] = True
    numbers = {f"model.{name}": draw_parameter(f"{key}.model.{name}", name, p.shape)
               for name, p in case.model.named_parameters()}
    for name in INPUTS:
        numbers[name] = portable.normal(f"{key}.{name}", batch, times[name], case.options["d_model"])
    case.tensors = {name: t.to(DTYPES[dtype]) for name, t in numbers.items()}
    return case


def draw_case(key, dtype, padded=(), fully_masked=(), causal=False, **fixed):
    """The case of a key. `padded` names its padding masks, `fully_masked` those that mask one row in full,
    `fixed` gives options of nn.Transformer. A draw near a kink of relu is drawn again."""
    for attempt in itertools.count():
        case = draw_once(f"{key}.{attempt}", dtype, padded, fully_masked, causal, fixed)
        if not case.near_a_kink():
            return case
