#!/usr/bin/env python3
"""Peer of bin/bench_step: one training step of a Transformer encoder-decoder on a copy task.

    peer_bench.py --backend eager|compile|jax --size S|S1|M|L --threads N
    peer_bench.py --backend eager --size S --threads 1 --train-until 0.1

Prints one JSON line.  The program every backend runs (float32):
  src      = seq random symbols in [3, vocab); 0 = pad, 1 = BOS, 2 = EOS (ids 0, 2 unused here)
  tgt_in   = [BOS, src[0..seq-2]], tgt_out = src        (teacher forcing, no padding)
  x        = Embedding(ids) * sqrt(d_model) + sinusoidal positions   (separate src/tgt tables)
  model    = nn.Transformer: post-norm, ReLU, layers+layers, final encoder and decoder LayerNorm,
             LayerNorm eps 1e-5, every Linear with a bias, no dropout, causal target mask
  loss     = cross-entropy of Linear(d_model, vocab)(x), mean over batch*seq target tokens
  optim    = Adam(lr 1e-3, betas 0.9/0.999, eps 1e-8), no clipping
  init     = matrices Xavier uniform (self-/cross-attention q,k,v counted as ONE (3d, d) matrix,
             as nn.MultiheadAttention packs them), embeddings N(0, 1/sqrt(d_model)),
             biases 0, LayerNorm gain 1
A step = forward + backward + optimizer + reading the loss back as a float; batches are made
before the clock starts.  tokens_per_s counts target tokens (batch * seq) only.
--init FILE (written by init_file.py) gives the initial weights, and the batches where it holds any;
the run then begins with five steps on batches 0 ... 4, whose losses are printed.
"""
import argparse
import json
import os
import statistics
import time

SIZES = {
    "S": {"d_model": 32, "heads": 4, "ff": 64, "layers": 2, "seq": 10, "batch": 32, "vocab": 16},
    "S1": {"d_model": 32, "heads": 4, "ff": 64, "layers": 2, "seq": 10, "batch": 1, "vocab": 16},
    "M": {"d_model": 128, "heads": 4, "ff": 512, "layers": 2, "seq": 20, "batch": 64, "vocab": 64},
    "L": {"d_model": 512, "heads": 8, "ff": 2048, "layers": 6, "seq": 64, "batch": 16, "vocab": 1000},
}
REPETITIONS = {"S": (50, 400), "S1": (100, 800), "M": (8, 50), "L": (2, 6)}  # warm-up, timed steps
KEPT_BATCHES = 16
BOS, FIRST_SYMBOL = 1, 3
MOST_STEPS = 20000


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--backend", choices=["eager", "compile", "jax"], required=True)
    p.add_argument("--size", choices=list(SIZES), default="S")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--adam", choices=["fused", "plain"], default="fused",
                   help="torch only: torch.optim.Adam(fused=True) or its CPU default")
    p.add_argument("--warmup", type=int, help="untimed steps")
    p.add_argument("--steps", type=int, help="timed steps")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--init", metavar="FILE.safetensors")
    p.add_argument("--train-until", type=float, metavar="LOSS",
                   help="instead of timing: train on fresh batches until the mean loss of the\n"
                        f"last 10 steps is below LOSS (at most {MOST_STEPS} steps)")
    return p.parse_args()


def expected_params(c):
    d, f, v, n = c["d_model"], c["ff"], c["vocab"], c["layers"]
    mha, ffn, ln = 4 * d * d + 4 * d, 2 * d * f + f + d, 2 * d
    return (n * (mha + ffn + 2 * ln) + n * (2 * mha + ffn + 3 * ln)   # encoder, decoder layers
            + 2 * ln + 2 * v * d + d * v + v)                         # norms, embeddings, generator


def batches(np, c, seed, given):
    """Batches without end: those given in turn, or fresh ones."""
    rng = np.random.default_rng(seed)
    number = 0
    while True:
        if given is not None:
            source = given[number % len(given)].astype(np.int64)
        else:
            source = rng.integers(FIRST_SYMBOL, c["vocab"], size=(c["batch"], c["seq"]), dtype=np.int64)
        first = np.full((c["batch"], 1), BOS, np.int64)
        yield source, np.concatenate([first, source[:, :-1]], axis=1), source.copy()
        number += 1


def peak_rss_mb():
    """Of this program alone: getrusage's figure begins with that of the process which started it."""
    with open("/proc/self/status", encoding="ascii") as status:
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return round(int(kilobytes) / 1024, 1)


def train_until(limit, step, data):
    recent, start, first = [], time.perf_counter(), None
    for i in range(1, MOST_STEPS + 1):
        recent = (recent + [step(*next(data))])[-10:]
        first = recent[0] if first is None else first
        if len(recent) == 10 and sum(recent) / 10 < limit:
            break
    return {"first_loss": round(first, 4), "steps_to_loss": i,
            "loss": round(sum(recent) / len(recent), 4), "wall_s": round(time.perf_counter() - start, 2)}


def time_steps(a, c, step, pool):
    warmup, steps = (given if given is not None else default
                     for given, default in zip((a.warmup, a.steps), REPETITIONS[a.size]))
    start = time.perf_counter()
    losses = [step(*pool[0])]                        # for compile and jax: holds compilation
    first_step = time.perf_counter() - start
    if a.init:
        losses += [step(*pool[i % len(pool)]) for i in range(1, 5)]
    for i in range(warmup):
        step(*pool[i % len(pool)])
    times = []
    for i in range(steps):
        start = time.perf_counter()
        loss = step(*pool[i % len(pool)])
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    out = {"first_step_s": round(first_step, 3), "step_ms": round(median * 1e3, 4),
           "step_ms_min": round(min(times) * 1e3, 4),
           "tokens_per_s": round(c["batch"] * c["seq"] / median, 1),
           "first_loss": round(losses[0], 4), "last_loss": round(loss, 4), "steps": steps}
    if a.init:
        out["losses"] = [round(x, 8) for x in losses]
    return out


def main():
    a = parse()
    c = SIZES[a.size]
    # Pin before any maths library starts its thread pool: the first N CPUs we may use.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:a.threads])
    for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[k] = str(a.threads)

    import numpy as np
    if a.backend == "jax":
        import peer_jax as peer
    else:
        import peer_torch as peer
    import state_file
    state = state_file.read(a.init) if a.init else {}
    given = state.pop("data.source", None)
    step, to_device, n_params = peer.build(c, a, state)
    assert n_params == expected_params(c), (n_params, expected_params(c))

    out = {"backend": a.backend, "size": a.size, "threads": a.threads, "params": n_params}
    if a.backend != "jax":
        out["adam"] = a.adam
    data = (to_device(*batch) for batch in batches(np, c, a.seed, given))
    if a.train_until is not None:
        out.update(train_until(a.train_until, step, data), seed=a.seed)
    else:
        pool = [next(data) for _ in range(KEPT_BATCHES if given is None else len(given))]
        out.update(time_steps(a, c, step, pool))
    out["peak_rss_mb"] = peak_rss_mb()
    print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
