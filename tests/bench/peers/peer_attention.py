#!/usr/bin/env python3
"""PyTorch's scaled_dot_product_attention at the cases of bin/kernel_bench, as lines of its form.

    peer_attention.py --seconds 0.1 --longest 2048

One thread, one sentence, eight heads of 64 packed [time, 3, heads, dim] as a projection leaves them.
"""
import argparse
import json
import os
import time

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch  # noqa: E402 (after the threads are limited)

HEADS, DIM = 8, 64


def best_seconds(function, budget):
    best, total = float("inf"), 0.0
    function()
    while total < budget:
        start = time.thread_time()
        function()
        taken = time.thread_time() - start
        best, total = min(best, taken), total + taken
    return best


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--seconds", type=float, default=0.1)
    p.add_argument("--shortest", type=int, default=16)
    p.add_argument("--longest", type=int, default=2048)
    p.add_argument("--causal", action="store_true", help="only the causal cases")
    a = p.parse_args()
    torch.set_num_threads(1)
    attend = torch.nn.functional.scaled_dot_product_attention
    for causal in ((True,) if a.causal else (True, False)):
        for dropout in (0.0, 0.1):
            length = a.shortest
            while length <= a.longest:
                qkv = torch.rand(1, length, 3, HEADS, DIM).sub_(0.5).requires_grad_()
                out_gradient = torch.rand(1, HEADS, length, DIM)

                def forward(qkv=qkv, causal=causal, dropout=dropout):
                    query, key, value = qkv.transpose(1, 3).unbind(2)
                    return attend(query, key, value, dropout_p=dropout, is_causal=causal)

                def both(forward=forward, qkv=qkv, out_gradient=out_gradient):
                    qkv.grad = None
                    forward().backward(out_gradient)

                name = f"T {length}, {'causal' if causal else 'full'}, dropout {dropout:g}"
                for kernel, function in (("attention forward", forward),
                                         ("attention forward and backward", both)):
                    print(json.dumps({"kernel": kernel, "unit": "µs", "case": name, "library": "PyTorch",
                                      "value": 1e6 * best_seconds(function, a.seconds)}), flush=True)
                length *= 2


if __name__ == "__main__":
    main()
