"""The runs of compare.py for each part of the page: generators of JSON lines, in interleaved rounds."""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def backends(a):
    """The commands of the installed backends of a training step."""
    peer = [a.torch_python, str(HERE / "peers/peer_bench.py"), "--backend"]
    jax = [a.jax_python, str(HERE / "peers/peer_bench.py"), "--backend", "jax"]
    every = {"tapegrad": [str(a.bench_step)], "eager fused": [*peer, "eager"],
             "eager plain": [*peer, "eager", "--adam", "plain"], "compile": [*peer, "compile"],
             "libtorch": [a.libtorch], "jax": jax, "dynet": [a.dynet]}
    found = {}
    for name, command in every.items():
        if a.only and name not in a.only:
            continue
        if pathlib.Path(command[0]).is_file():
            found[name] = command
        else:
            print(f"not here: {name} ({command[0]})", file=sys.stderr)
    if "tapegrad" not in found:
        raise SystemExit(f"{a.bench_step}: not built")
    return found


def run_lines(command, options=()):
    """The JSON lines that the program prints, or none where it fails."""
    command = [str(x) for x in (*command, *options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    if done.returncode != 0:
        tail = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"failed ({done.returncode}): {' '.join(command)}: {tail}", file=sys.stderr)
        return []
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run(command, options=()):
    return (run_lines(command, options) or [None])[-1]


def limits(a):
    return [x for name in ("steps", "warmup") if getattr(a, name) is not None
            for x in (f"--{name}", getattr(a, name))]


def timed(a, found, size, threads, number):
    """One round of a training step."""
    for name, command in found.items():
        if number > 0 and name in a.once:
            continue
        line = run(command, ["--size", size, "--threads", threads, *limits(a)])
        if line is None:
            continue
        line.update(name=name, round=number, load=round(os.getloadavg()[0], 1))
        print(f"{size:3} {threads} threads, round {number}: {name:12} {line['step_ms']:10.3f} ms", flush=True)
        yield line


def node_overhead(a):
    program = a.bench_step.parent / "node_bench"
    line = run([program]) if program.is_file() else None
    if line:
        yield {"node_bench": line}


def steps(a):
    found = backends(a)
    yield from node_overhead(a)
    for size in a.sizes or ["S1", "S", "M", "L"]:
        for threads in a.threads:
            if size == "S1" and threads > 1:
                continue  # one sentence is one shard
            for number in range(a.rounds):
                yield from timed(a, found, size, threads, number)


def kernels(a):
    seconds = ["--seconds", a.kernel_seconds]
    yield from run_lines([a.bench_step.parent / "kernel_bench", "--json"], seconds)
    yield from run_lines([a.torch_python, HERE / "peers/peer_attention.py"], seconds)


def attention(a):
    cases = ["--seconds", a.kernel_seconds, "--shortest", 64, "--longest", a.longest, "--causal"]
    for number in range(a.rounds):
        for command in ([a.bench_step.parent / "kernel_bench", "--json", "--only", "attention"],
                        [a.torch_python, HERE / "peers/peer_attention.py"]):
            for line in run_lines(command, cases):
                yield {**line, "round": number}
        print(f"attention, round {number}", flush=True)


def decode(a):
    ours = [a.bench_step.parent / "bench_decode"]
    torch = [a.torch_python, HERE / "peers/decode_torch.py", "--check", "--attention"]
    every = {"tapegrad": ours, "tapegrad, no cache": [*ours, "--prefixes"],
             "PyTorch, its attention": [*torch, "sdpa"], "PyTorch, products": [*torch, "matmul"]}
    sentences = [] if a.steps is None else ["--sentences", a.steps]
    for size in a.sizes or ["S", "M"]:
        for number in range(a.rounds):
            for name, command in every.items():
                line = run(command, ["--size", size, *sentences])
                if line is not None:
                    print(f"{size:3} round {number}: {name:24} {line['us_per_token']:10.2f} µs a token",
                          flush=True)
                    yield {**line, "name": name, "round": number}
