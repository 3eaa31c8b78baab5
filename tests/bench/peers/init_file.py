#!/usr/bin/env python3
"""Writes one set of weights and five batches for the --init of every backend (needs torch).

    init_file.py --size S OUT           OUT.safetensors, and OUT.pt for LibTorch
    init_file.py --size S1 --golden ../golden/init_S1.safetensors

The file holds the state dict of peer_torch.py's Seq2Seq, buffers included, and `data.source` [5, batch, seq].
--golden keeps parameters in float16 (they are exact in float32) and the losses of the five steps, computed in
float64, in the metadata as `losses`.
"""
import argparse
import json
import pathlib

import numpy as np
import peer_bench
import peer_torch
import state_file
import torch

STEPS = 5


def losses(c, state, data):
    """Those of Adam's first steps, in float64."""
    torch.set_default_dtype(torch.float64)
    model = peer_torch.Seq2Seq(c).train()
    model.load_state_dict({name: torch.from_numpy(x).double() for name, x in state.items()})
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    found = []
    for _, batch in zip(range(STEPS), peer_bench.batches(np, c, 0, data)):
        adam.zero_grad()
        loss = model(*map(torch.from_numpy, batch))
        loss.backward()
        adam.step()
        found.append(loss.item())
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--size", choices=list(peer_bench.SIZES), required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--golden", action="store_true")
    p.add_argument("out", type=pathlib.Path)
    a = p.parse_args()
    c = peer_bench.SIZES[a.size]
    torch.manual_seed(a.seed)
    state = {name: x.numpy() for name, x in peer_torch.Seq2Seq(c).state_dict().items()}
    stream = peer_bench.batches(np, c, a.seed, None)
    data = np.stack([next(stream)[0] for _ in range(STEPS)])
    if a.golden:
        state = {name: x if name in ("pe", "mask") else x.astype(np.float16) for name, x in state.items()}
        metadata = {"losses": json.dumps(losses(c, state, data)), "torch": torch.__version__}
        small = {**state, "data.source": data.astype(np.int32)}
        state_file.write(a.out, small, metadata)
    else:
        state["data.source"] = data
        state_file.write(a.out.with_suffix(".safetensors"), state, {"size": a.size})
        torch.save({name: torch.from_numpy(x) for name, x in state.items()}, a.out.with_suffix(".pt"))


if __name__ == "__main__":
    main()
