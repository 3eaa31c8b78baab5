"""The family "layers" in PyTorch: `evaluate` runs a case. Layers that PyTorch lacks are written here."""
import math
import string

import torch
from torch import nn
from torch.nn import functional as F


def causal(query, key=None):
    """[query, key], true where blocked: above the diagonal."""
    return torch.ones(query, key or query, dtype=torch.bool).triu(1)


def beyond(lengths, width):
    """[batch, width], true where blocked: from each row's length on."""
    return torch.arange(width)[None, :] >= lengths[:, None]


def heads(x, count):
    """[batch, time, count * dim] -> [batch, count, time, dim]"""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def scores(kind, query, key):
    if kind == "cosine":
        return F.normalize(query, dim=-1, eps=1e-8) @ F.normalize(key, dim=-1, eps=1e-8).mT
    if kind == "negative_distance":
        return -torch.cdist(query, key, compute_mode="donot_use_mm_for_euclid_dist")
    scale = 1 if kind == "dot" else 1 / math.sqrt(query.shape[-1])
    return scale * (query @ key.mT)


def attend(kind, query, key, value, blocked=None, bias=None):
    """Context with the heads side by side again, weights and scores, of [batch, heads, time, dim].

    A row of which nothing is left gives zeros, as in F.scaled_dot_product_attention.
    """
    s = scores(kind, query, key)
    if bias is not None:
        s = s + bias
    blocked = torch.zeros(1, dtype=torch.bool) if blocked is None else blocked.expand(s.shape)
    nothing = blocked.all(-1, keepdim=True)
    weights = s.masked_fill(blocked & ~nothing, -torch.inf).softmax(-1) * ~nothing
    return (weights @ value).transpose(1, 2).flatten(2), weights, s


def is_blocked(mask):
    """Of a boolean mask, or of the -inf that encoder and decoder layers make of it."""
    return mask if mask.dtype == torch.bool else mask == -torch.inf


class ScoredAttention(nn.MultiheadAttention):
    """The parameters of nn.MultiheadAttention, another score."""

    def forward(self, query, key, value, attn_mask=None, key_padding_mask=None, **_):
        blocked = torch.zeros(query.shape[1], key.shape[1], dtype=torch.bool)
        if attn_mask is not None:
            blocked = blocked | is_blocked(attn_mask)
        if key_padding_mask is not None:
            blocked = blocked | is_blocked(key_padding_mask)[:, None, None, :]
        packed = zip((query, key, value), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3))
        q, k, v = (heads(F.linear(x, w, b), self.num_heads) for x, w, b in packed)
        context, weights, _ = attend(self.score, q, k, v, blocked)
        return self.out_proj(context), weights


def scored(kind, module):
    for part in module.modules():
        if isinstance(part, nn.MultiheadAttention):
            part.__class__, part.score = ScoredAttention, kind
    return module


class FeedForward(nn.Module):
    def __init__(self, width, hidden, activation, bias=True):
        super().__init__()
        self.linear1 = nn.Linear(width, hidden, bias)
        self.linear2 = nn.Linear(hidden, width, bias)
        self.activation = activation

    def forward(self, x):
        return self.linear2(self.activation(self.linear1(x)))


class TiedLinear(nn.Module):
    """An output projection that shares the table of an embedding."""

    def __init__(self, count, width):
        super().__init__()
        self.table = nn.Embedding(count, width)
        self.out = nn.Linear(width, count)
        self.out.weight = self.table.weight

    def forward(self, x):
        return self.out(x)


def sinusoids(length, width):
    """[length, width] of 'Attention Is All You Need' 3.5: even columns sine, odd cosine."""
    rows = [[t / 10000 ** (i // 2 * 2 / width) for i in range(width)] for t in range(length)]
    return torch.tensor([[math.cos(x) if i % 2 else math.sin(x) for i, x in enumerate(row)] for row in rows],
                        dtype=torch.float64)


class SinusoidalPositions(nn.Module):
    def forward(self, x):
        return x + sinusoids(*x.shape[-2:]).to(x.dtype)


class LearnedPositions(nn.Module):
    def __init__(self, length, width):
        super().__init__()
        self.weight = nn.Parameter(sinusoids(length, width))

    def forward(self, x):
        return x + self.weight[:x.shape[-2]]


class Seq2Seq(nn.Module):
    """Embedding * sqrt(d_model) + positions on both sides, nn.Transformer, Linear to the vocabulary."""

    def __init__(self, source_vocabulary, target_vocabulary, sizes, learned=0, tied=False, pad=0):
        super().__init__()
        width = sizes[0]
        self.src_emb = nn.Embedding(source_vocabulary, width, padding_idx=pad)
        self.tgt_emb = nn.Embedding(target_vocabulary, width, padding_idx=None if tied else pad)
        self.transformer = nn.Transformer(*sizes, dropout=0.0, batch_first=True)
        self.generator = nn.Linear(width, target_vocabulary)
        if tied:
            self.generator.weight = self.tgt_emb.weight
        if learned:
            self.src_pos = LearnedPositions(learned, width)
            self.tgt_pos = LearnedPositions(learned, width)
        else:
            self.src_pos = self.tgt_pos = SinusoidalPositions()
        self.pad = pad

    def forward(self, src, tgt):
        scale = math.sqrt(self.src_emb.embedding_dim)
        blocked = src == self.pad
        hidden = self.transformer(self.src_pos(self.src_emb(src) * scale),
                                  self.tgt_pos(self.tgt_emb(tgt) * scale), tgt_mask=causal(tgt.shape[1]),
                                  src_key_padding_mask=blocked, memory_key_padding_mask=blocked)
        return self.generator(hidden)


def build(case):
    """The case's module, not training, or None."""
    return eval(case["module"], globals()).eval() if case.get("module") else None


def add_tied_names(module, tensors):
    """A tensor that the module has under several names is stored under one of them."""
    state = module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        if name not in tensors:
            same = [other for other in tensors if state.get(other) is tensor]
            if same:
                tensors[name] = tensors[same[0]]
    return tensors


def under(tensors, prefix):
    return {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def evaluate(case, tensors):
    """`out.*`, `grad.in.*` and `grad.param.*` of the case's call on these inputs."""
    count = len(under(tensors, "in."))
    inputs = [tensors[f"in.{i}"].detach().clone().requires_grad_() for i in range(count)]
    dtype = tensors["dout.0"].dtype
    module = build(case)
    if module is not None:
        module.to(dtype)
        module.load_state_dict(add_tied_names(module, under(tensors, "param.")), strict=True)
    names = {**globals(), **under(tensors, "const."), **dict(zip(string.ascii_lowercase, inputs)),
             "m": module}
    outputs = eval(case["torch"], names)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    parameters = dict(module.named_parameters()) if module is not None else {}
    leaves = {**{f"in.{i}": x for i, x in enumerate(inputs)},
              **{f"param.{name}": p for name, p in parameters.items()}}
    loss = sum((out * tensors[f"dout.{i}"]).sum() for i, out in enumerate(outputs))
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    results = {f"out.{i}": out.detach() for i, out in enumerate(outputs)}
    for (name, leaf), gradient in zip(leaves.items(), gradients):
        results[f"grad.{name}"] = torch.zeros_like(leaf) if gradient is None else gradient
    return results
