#!/usr/bin/env python3
"""Greedy decoding of one sentence by PyTorch with a key/value cache written by hand.

    decode_torch.py --size S|M|L [--tokens N] [--sentences N] [--attention sdpa|matmul] [--check]

The peer of bin/bench_decode, and its JSON line: nn.Transformer's parameters (as in peer_torch.py), one
sentence, one thread, no gradients. Keys and values of the memory are computed once a sentence, those of
earlier tokens stay in preallocated tensors, query, key and value come from one product, and nothing but
functional calls on the bare weights runs in a step. `--check` compares the cached logits with those of
nn.Transformer over whole prefixes.
"""
import argparse
import json
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import torch
import torch.nn.functional as F

from peer_bench import SIZES
from peer_torch import Seq2Seq, positions

BOS = 1


def by_matmul(q, k, v, scale):
    return torch.matmul(torch.softmax(torch.matmul(q, k.transpose(-1, -2)) * scale, -1), v)


def by_sdpa(q, k, v, scale):
    return F.scaled_dot_product_attention(q, k, v)


class Attention:
    """One nn.MultiheadAttention, its weights cut once."""

    def __init__(self, module, heads):
        d = module.embed_dim
        self.heads, self.dim = heads, d // heads
        self.scale = self.dim ** -0.5
        self.w, self.b = module.in_proj_weight, module.in_proj_bias
        self.wq, self.bq = self.w[:d], self.b[:d]
        self.wkv, self.bkv = self.w[d:], self.b[d:]
        self.wo, self.bo = module.out_proj.weight, module.out_proj.bias

    def split(self, x):                          # [1, n * d_model] -> [n, heads, 1, dim]
        return x.view(-1, self.heads, 1, self.dim)


class Decoder:
    def __init__(self, model, c, most, attend):
        self.model, self.attend, self.most = model, attend, most
        t = model.transformer
        heads = c["heads"]
        self.layers = [(Attention(layer.self_attn, heads), Attention(layer.multihead_attn, heads), layer)
                       for layer in t.decoder.layers]
        shape = (c["heads"], most, c["d_model"] // c["heads"])
        self.past = [(torch.empty(shape), torch.empty(shape)) for _ in self.layers]
        self.pe = positions(max(most, c["seq"]), c["d_model"])
        self.scale = model.scale

    def start(self, source):
        model = self.model
        memory = model.transformer.encoder(model.src_emb(source) * self.scale + self.pe[: source.shape[1]])
        self.memory = []
        for _, cross, _ in self.layers:
            kv = F.linear(memory[0], cross.wkv, cross.bkv)         # [source, 2 d_model]
            k, v = kv.view(-1, 2, cross.heads, cross.dim).permute(1, 2, 0, 3).contiguous()
            self.memory.append((k, v))
        return memory

    def step(self, token, t):
        model, attend = self.model, self.attend
        x = model.tgt_emb.weight[token] * self.scale + self.pe[t: t + 1]     # [1, d_model]
        shape = x.shape[-1:]
        for (own, cross, layer), (keys, values), (mk, mv) in zip(self.layers, self.past, self.memory):
            q, k, v = own.split(F.linear(x, own.w, own.b)).unbind(0)
            keys[:, t: t + 1] = k
            values[:, t: t + 1] = v
            a = attend(q, keys[:, : t + 1], values[:, : t + 1], own.scale).view(1, -1)
            n1, n2, n3 = layer.norm1, layer.norm2, layer.norm3
            x = F.layer_norm(x + F.linear(a, own.wo, own.bo), shape, n1.weight, n1.bias)
            q = F.linear(x, cross.wq, cross.bq).view(cross.heads, 1, cross.dim)
            a = attend(q, mk, mv, cross.scale).view(1, -1)
            x = F.layer_norm(x + F.linear(a, cross.wo, cross.bo), shape, n2.weight, n2.bias)
            h = torch.relu_(F.linear(x, layer.linear1.weight, layer.linear1.bias))
            h = F.linear(h, layer.linear2.weight, layer.linear2.bias)
            x = F.layer_norm(x + h, shape, n3.weight, n3.bias)
        norm = model.transformer.decoder.norm
        x = F.layer_norm(x, shape, norm.weight, norm.bias)
        return F.linear(x, model.generator.weight, model.generator.bias)

    def greedy(self, source, tokens):
        self.start(source)
        token, out = BOS, []
        last = torch.tensor([token])
        for t in range(tokens):
            last = self.step(last, t).argmax(-1)
            out.append(last.item())          # a real loop looks for eos
        return out


def check(decoder, source, tokens):
    model, d = decoder.model, decoder
    memory = d.start(source)
    ids = [BOS]
    for t in range(tokens):
        got = d.step(torch.tensor([ids[-1]]), t)
        y = model.tgt_emb(torch.tensor([ids])) * d.scale + d.pe[: t + 1]
        mask = torch.nn.Transformer.generate_square_subsequent_mask(t + 1)
        hidden = model.transformer.decoder(y, memory, tgt_mask=mask, tgt_is_causal=True)
        whole = model.generator(hidden[:, -1])
        assert torch.allclose(got, whole, atol=1e-4), (t, (got - whole).abs().max())
        ids.append(int(whole.argmax()))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--size", choices=["S", "M", "L"], default="S")
    p.add_argument("--tokens", type=int, help="written a sentence, at least 2; default: the size's length")
    p.add_argument("--sentences", type=int, default=60, help="timed")
    p.add_argument("--attention", choices=["sdpa", "matmul"], default="sdpa")
    p.add_argument("--check", action="store_true", help="compare with nn.Transformer over whole prefixes")
    a = p.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    c = SIZES[a.size]
    tokens = a.tokens or c["seq"]
    with torch.inference_mode():
        model = Seq2Seq(c).eval()
        decoder = Decoder(model, c, tokens, by_sdpa if a.attention == "sdpa" else by_matmul)
        source = torch.full((1, c["seq"]), 3)
        if a.check:
            check(decoder, source, tokens)

        def timed(n):
            start = time.perf_counter()
            decoder.greedy(source, n)
            return time.perf_counter() - start

        for _ in range(a.sentences // 10 + 1):
            timed(tokens)
        times = [(timed(tokens), timed(1)) for _ in range(a.sentences)]
    whole, first = (statistics.median(column) for column in zip(*times))
    print(json.dumps({"backend": "torch " + torch.__version__, "attention": a.attention, "size": a.size,
                      "tokens": tokens, "us_per_token": round(1e6 * (whole - first) / (tokens - 1), 3),
                      "sentence_us": round(1e6 * whole, 1)}))


if __name__ == "__main__":
    main()
