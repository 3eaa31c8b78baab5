"""The tables of docs/benchmarks.md from the lines that compare.py collected."""
import collections
import statistics

import provenance

BACKENDS = ["tapegrad", "eager fused", "eager plain", "compile", "libtorch", "jax", "dynet"]
HEADINGS = {"tapegrad": "tapegrad", "eager fused": "PyTorch, fused Adam", "eager plain": "plain Adam",
            "compile": "torch.compile", "libtorch": "LibTorch", "jax": "JAX", "dynet": "DyNet"}
EAGER = ("eager fused", "eager plain")
# DyNet, when not built: its step time (sources of 2023-11 over Eigen 3.4, -O3 -march=native) over that of
# PyTorch 2.13 eager with the faster Adam, both from one interleaved run on 2 cores of a Zen 4.
DYNET = {("S1", 1): 0.35 / 4.5, ("S", 1): 8.3 / 10.8, ("S", 2): 11.1 / 10.2, ("M", 1): 235 / 144,
         ("M", 2): 176 / 101, ("L", 1): 4636 / 3595, ("L", 2): 3366 / 2396}


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def ratio(x):
    return f"{x:.1f} ×" if x >= 10 else f"{x:.2f} ×"


def by_run(lines):
    """(size, threads) -> backend -> its lines, in the order of the file."""
    runs = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in lines:
        if "step_ms" in line:
            runs[line["size"], line["threads"]][line["name"]].append(line)
    return runs


def middle(lines, field="step_ms"):
    return statistics.median(line[field] for line in lines)


def cell(lines):
    times = [line["step_ms"] for line in lines]
    return f"{number(statistics.median(times))} ({number(min(times))}–{number(max(times))})"


def recorded_dynet(key, times):
    if "dynet" in times:
        return None
    eager = [times[name] for name in EAGER if name in times]
    return DYNET[key] * min(eager) if eager and key in DYNET else None


def fastest_peers(runs, size, threads):
    """Heading -> least time of that peer on so many threads or fewer: some are slower on two than on one."""
    best = {}
    for (other, count), backends in runs.items():
        if other != size or count > threads:
            continue
        times = {b: middle(lines) for b, lines in backends.items() if b != "tapegrad"}
        guess = recorded_dynet((size, count), times)
        named = {HEADINGS[b]: t for b, t in times.items()}
        if guess:
            named["DyNet †"] = guess
        for name, ms in named.items():
            best[name] = min(ms, best.get(name, ms))
    return best


def step_tables(runs):
    rows, ratios, guessed = [], [], False
    for (size, threads), backends in runs.items():
        if "tapegrad" not in backends:
            continue
        times = {name: middle(lines) for name, lines in backends.items()}
        guess = recorded_dynet((size, threads), times)
        cells = {name: cell(lines) for name, lines in backends.items()}
        if guess:
            cells["dynet"] = f"{number(guess)} †"
            guessed = True
        name = [size, str(threads)]
        rows.append(name + [cells.get(b, "–") for b in BACKENDS])
        ours = times["tapegrad"]
        others = fastest_peers(runs, size, threads)
        eager = [others.pop(HEADINGS[b]) for b in EAGER if HEADINGS[b] in others]
        best = min(others, key=others.get) if others else None
        ratios.append(name + [ratio(min(eager) / ours) if eager else "–",
                              f"{ratio(others[best] / ours)} ({best})" if best else "–"])
    head = ["size", "threads"]
    note = ("† not run: DyNet's recorded ratio to PyTorch eager (2023-11, Zen 4, 2 cores), times the eager "
            "time of this run.")
    return [table([*head, *(HEADINGS[b] for b in BACKENDS)], rows), *([note] if guessed else []),
            "Faster than the peers by, a peer taking fewer threads where that is faster:",
            table([*head, "PyTorch eager, its faster Adam", "the best of the others"], ratios)]


def own_table(runs):
    rows = []
    for (size, threads), backends in runs.items():
        ours = backends.get("tapegrad")
        if ours:
            last = ours[-1]
            rows.append([size, str(threads), number(middle(ours, "gflops")),
                         number(middle(ours, "fma_peak_gflops")),
                         f"{100 * middle(ours, 'share_of_peak'):.0f} %", str(last["nodes"]),
                         f"{last['tape_bytes'] / 1e6:.1f}", f"{last.get('allocations', 0):g}"])
    return table(["size", "threads", "GFLOP/s", "FMA peak", "share", "nodes", "largest tape, MB",
                  "allocations"], rows)


def memory_table(runs):
    rows = []
    for (size, threads), backends in runs.items():
        if threads != 1:
            continue
        peaks = {b: middle(backends[b], "peak_rss_mb") for b in backends}
        eager = [peaks[b] for b in EAGER if b in peaks]

        def share(of, ours=peaks.get("tapegrad")):
            return f"{ours / of:.2f}" if of and ours else "–"
        rows.append([size, *(f"{peaks[b]:.0f}" if b in peaks else "–" for b in BACKENDS),
                     share(min(eager, default=None)), share(peaks.get("libtorch"))])
    return table(["size", *(HEADINGS[b] for b in BACKENDS), "of PyTorch eager", "of LibTorch"], rows)


def node_line(lines):
    found = [line["node_bench"]["ns_per_node"] for line in lines if "node_bench" in line]
    return [f"A node of the tape costs {number(ns)} ns beyond its kernels (bin/node_bench)."
            for ns in found[-1:]]


def peak_of(lines):
    """The FMA peak a core of the runs on one thread."""
    found = [line["fma_peak_gflops"] for line in lines
             if line.get("threads") == 1 and "fma_peak_gflops" in line]
    return statistics.median(found) if found else None


def steps_section(lines):
    runs = by_run(lines)
    every = [line for backends in runs.values() for found in backends.values() for line in found]
    counts = {len(found) for backends in runs.values() for found in backends.values()}
    rounds = max(counts)
    said = f"up to {rounds}" if len(counts) > 1 else str(rounds)
    isa = next((line["isa"] for line in every if "isa" in line), "?")
    return "\n\n".join(
        [provenance.text(lines, peak_of(lines)),
         f"Milliseconds a step, median of the medians of {said} interleaved "
         f"round{'s' if rounds > 1 else ''} (spread of the rounds); our kernels for {isa}:",
         *step_tables(runs), "What our own runs say:", own_table(runs), *node_line(lines),
         "Peak process memory, MB, one thread:", memory_table(runs)])


def replace_section(page, name, text):
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1:
        raise SystemExit(f"{page}: expected one {begin.strip()} and one {end}")
    before, rest = old.split(begin)
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")
