"""explain_parity.py SEQ2SEQ: every number of the explorer's attention lab against PyTorch, in f64, to 1e-12.

Trains small models for a moment, reads their weights (model.safetensors) and the recording of one example
(`seq2seq explain --json`), computes the same example with PyTorch's autograd and compares all arrays of every
attention layer (Q K V S P O Y, dY dO dV dP dS dQ dK dX dW db), the logits, the loss and the gradients of all
parameters. Prints a PASS: or FAIL: line for each model; without PyTorch one SKIP: line.
"""
import pytorch  # noqa: F401  first: without PyTorch it ends here
import base64
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy
from safetensors import safe_open
import torch
import torch.nn.functional as F

LIMIT = 1e-12
NAMES = ("x_query", "x_key", "query", "key", "value", "scores", "weights", "context", "merged", "output")
SOURCE, TARGET = "a b c d", "d c b a"
MODELS = {
    "1 + 1 layers, post-norm": ["--layers", 1, "--post-norm"],
    "2 + 2 layers, pre-norm, gelu": ["--layers", 2, "--activation", "gelu"],
    "learned positions, tied embeddings": ["--layers", 1, "--positions", "learned", "--tie-embeddings"],
}


class Recording:
    def __init__(self, path):
        self.json = json.loads(path.read_text(encoding="utf-8"))
        self.blobs = {"f64": numpy.frombuffer(base64.b64decode(self.json["blob"]), "<f8"),
                      "f32": numpy.frombuffer(base64.b64decode(self.json["blob32"]), "<f4")}
        self.nodes = {node["id"]: node for node in self.json["nodes"]}

    def array(self, node, what):
        place = node[what]
        if place is None:
            return None
        begin, length, *kind = place
        blob = self.blobs[kind[0] if kind else "f64"]
        return torch.tensor(blob[begin:begin + length].astype("<f8").reshape(node["shape"]))


class Network:
    """The model of nn/seq2seq.h with all that the explorer shows kept, by path and name."""

    def __init__(self, file):
        self.values = {name: file.get_tensor(name).double().requires_grad_() for name in file.keys()}
        self.config = json.loads(file.metadata()["config"])
        self.vocabulary = {side: json.loads(file.metadata()[f"{side}_vocabulary"])
                           for side in ("source", "target")}
        self.kept = {}

    def parameter(self, name):
        if name not in self.values and self.config["tie_embeddings"] and name == "generator.weight":
            return self.values["tgt_emb.weight"]
        if name not in self.values and self.config["tie_embeddings"] and name == "tgt_emb.weight":
            return self.values["generator.weight"]
        return self.values[name]

    def ids(self, side, text):
        return [self.vocabulary[side].index(token) + 4 for token in text.split(" ")]

    def keep(self, path, name, x):
        x.retain_grad()
        self.kept[path, name] = x
        return x

    def linear(self, x, path):
        return F.linear(x, self.parameter(f"{path}.weight"), self.parameter(f"{path}.bias"))

    def norm(self, x, path):
        weight, bias = self.parameter(f"{path}.weight"), self.parameter(f"{path}.bias")
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)

    def attention(self, x, memory, path, causal=False):
        heads, d = self.config["heads"], x.shape[-1]
        dim = d // heads
        split = lambda y: y.reshape(1, -1, heads, dim).transpose(1, 2)
        weight, bias = self.parameter(f"{path}.in_proj_weight"), self.parameter(f"{path}.in_proj_bias")
        parts = zip(("query", "key", "value"), (x, memory, memory), weight.chunk(3), bias.chunk(3))
        q, k, v = (self.keep(path, name, split(F.linear(y, w, b))) for name, y, w, b in parts)
        scores = self.keep(path, "scores", q @ k.transpose(-1, -2) / math.sqrt(dim))
        masked = scores
        if causal:
            masked = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=bool).triu(1), -math.inf)
        weights = self.keep(path, "weights", masked.softmax(-1))
        context = self.keep(path, "context", weights @ v)
        merged = self.keep(path, "merged", context.transpose(1, 2).reshape(1, -1, d))
        return self.keep(path, "output", self.linear(merged, f"{path}.out_proj"))

    def feed_forward(self, x, path):
        activation = F.gelu if self.config["activation"] == "gelu" else F.relu
        return self.linear(activation(self.linear(x, f"{path}.linear1")), f"{path}.linear2")

    def sublayer(self, x, norm, run, path=None):
        if self.config["norm_first"]:
            inner = self.norm(x, norm)
            return x + run(self.keep(path, "x_query", inner) if path else inner)
        return self.norm(x + run(self.keep(path, "x_query", x) if path else x), norm)

    def embed(self, ids, side):
        x = F.embedding(torch.tensor([ids]), self.parameter(f"{side}_emb.weight"))
        x = x * math.sqrt(self.config["d_model"])
        if self.config["positions"] == "learned":
            return x + self.parameter(f"{side}_pos.weight")[:len(ids)]
        return x + self.positions[:len(ids)]

    def __call__(self, source, target):
        x = self.embed(source, "src")
        for i in range(self.config["encoder_layers"]):
            at = f"transformer.encoder.layers.{i}"
            attend = lambda y: self.attention(y, y, f"{at}.self_attn")
            x = self.sublayer(x, f"{at}.norm1", attend, f"{at}.self_attn")
            x = self.sublayer(x, f"{at}.norm2", lambda y: self.feed_forward(y, at))
        if "transformer.encoder.norm.weight" in self.values:
            x = self.norm(x, "transformer.encoder.norm")
        memory, x = x, self.embed(target, "tgt")
        memory.retain_grad()
        for i in range(self.config["decoder_layers"]):
            at = f"transformer.decoder.layers.{i}"
            self.kept[f"{at}.multihead_attn", "x_key"] = memory
            attend = lambda y: self.attention(y, y, f"{at}.self_attn", causal=True)
            x = self.sublayer(x, f"{at}.norm1", attend, f"{at}.self_attn")
            across = lambda y: self.attention(y, memory, f"{at}.multihead_attn")
            x = self.sublayer(x, f"{at}.norm2", across, f"{at}.multihead_attn")
            x = self.sublayer(x, f"{at}.norm3", lambda y: self.feed_forward(y, at))
        if "transformer.decoder.norm.weight" in self.values:
            x = self.norm(x, "transformer.decoder.norm")
        return F.linear(x, self.parameter("generator.weight"), self.parameter("generator.bias"))


def difference(ours, theirs):
    """Largest difference, relative to the larger magnitude or 1."""
    if ours is None or ours.shape != theirs.shape:
        return math.inf
    return float((ours - theirs).abs().max() / max(1.0, float(theirs.abs().max())))


def compare(recording, network):
    """(number of arrays, [(name, difference) above the limit])."""
    target = network.ids("target", TARGET)
    constants = [node for node in recording.json["nodes"] if node["label"] == "positions.table"]
    if constants:
        network.positions = recording.array(constants[0], "val")
    logits = network(network.ids("source", SOURCE) + [2], [1] + target)
    logits.retain_grad()
    loss = F.cross_entropy(logits[0], torch.tensor(target + [2]))
    loss.backward()
    found = [("loss", abs(recording.json["meta"]["loss"] - loss.item()))]

    def check(name, node, theirs):
        found.append((name, difference(recording.array(node, "val"), theirs.detach())))
        if theirs.grad is not None:
            found.append((f"d{name}", difference(recording.array(node, "grad"), theirs.grad)))

    check("logits", recording.nodes[recording.json["output"]["logits"]], logits)
    for lab in recording.json["labs"]:
        path = lab["path"]
        for name in NAMES:
            if (path, name) in network.kept:
                check(f"{path} {name}", recording.nodes[lab["nodes"][name]], network.kept[path, name])
    for parameter in recording.json["parameters"]:
        check(parameter["name"], recording.nodes[parameter["node"]], network.parameter(parameter["name"]))
    layers = network.config["encoder_layers"] + 2 * network.config["decoder_layers"]
    if len(recording.json["labs"]) != layers:
        found.append((f"{len(recording.json['labs'])} labs instead of {layers}", math.inf))
    return len(found), [(name, error) for name, error in found if not error <= LIMIT]


def run(program, *words):
    subprocess.run([program, *map(str, words)], check=True, capture_output=True, text=True, timeout=600)


def main(program):
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "data.tsv"
        data.write_text("a b c d\td c b a\nb a\ta b\nc a\ta c\nd d b\tb d d\n", encoding="utf-8")
        for number, (label, words) in enumerate(MODELS.items()):
            model, tape = folder / f"model{number}", folder / "tape.json"
            run(program, "train", data, "--out", model, "--tokens", "space", "--d-model", 16, "--heads", 2,
                "--ff", 32, "--steps", 20, "--max-length", 8, *words)
            run(program, "explain", model, "--source", SOURCE, "--target", TARGET, "--json", tape,
                "--numeric", "none")
            with safe_open(model / "model.safetensors", "pt") as file:
                count, bad = compare(Recording(tape), Network(file))
            print(f"FAIL: {label}: {bad[:10]}" if bad else f"PASS: {label}: {count} arrays")
            failed = failed or bool(bad)
    sys.exit(failed)


if __name__ == "__main__":
    main(sys.argv[1])
