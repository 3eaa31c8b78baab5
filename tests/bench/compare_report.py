"""The tables of docs/benchmarks.md from the lines that compare.py collected."""
import collections
import pathlib
import statistics

BACKENDS = ["tapegrad", "eager fused", "eager plain", "compile", "libtorch", "jax"]
HEADINGS = {"tapegrad": "tapegrad", "eager fused": "PyTorch, fused Adam", "eager plain": "plain Adam",
            "compile": "torch.compile", "libtorch": "LibTorch", "jax": "JAX"}
EAGER = ("eager fused", "eager plain")
# No package index has a DyNet built for the processor at hand. This is its step time (2023-11, -O3
# -march=native) over that of PyTorch eager with the faster Adam, both from one interleaved run on 2 cores of
# a Zen 4.
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


def dynet(key, times):
    eager = [times[name] for name in EAGER if name in times]
    return DYNET[key] * min(eager) if eager and key in DYNET else None


def step_tables(runs):
    rows, ratios = [], []
    for (size, threads), backends in runs.items():
        if "tapegrad" not in backends:
            continue
        times = {name: middle(lines) for name, lines in backends.items()}
        guess = dynet((size, threads), times)
        name = [size, str(threads)]
        rows.append(name + [cell(backends[b]) if b in backends else "–" for b in BACKENDS]
                    + [f"{number(guess)} †" if guess else "–"])
        ours = times["tapegrad"]
        eager = [times[b] for b in EAGER if b in times]
        others = {HEADINGS[b]: t for b, t in times.items() if b not in ("tapegrad", *EAGER)}
        if guess:
            others["DyNet †"] = guess
        best = min(others, key=others.get) if others else None
        ratios.append(name + [ratio(min(eager) / ours) if eager else "–",
                              f"{ratio(others[best] / ours)} ({best})" if best else "–"])
    head = ["size", "threads"]
    return [table([*head, *(HEADINGS[b] for b in BACKENDS), "DyNet"], rows),
            "† not run: its recorded ratio to PyTorch eager, times the eager time of this run.",
            "Faster than the peers by:",
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
        if threads == 1:
            rows.append([size] + [f"{middle(backends[b], 'peak_rss_mb'):.0f}" if b in backends else "–"
                                  for b in BACKENDS])
    return table(["size", *(HEADINGS[b] for b in BACKENDS)], rows)


def machine(runs):
    cpu = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    every = [line for backends in runs.values() for lines in backends.values() for line in lines]
    rounds = 1 + max(line["round"] for line in every)
    load = statistics.median(line["load"] for line in every)
    isa = next((line["isa"] for line in every if "isa" in line), "?")
    return (f"{cpu}, kernels for {isa}; {rounds} interleaved round{'s' if rounds > 1 else ''}, median load "
            f"of the machine {load}.")


def kernel_tables(lines):
    """One table a kind of kernel: a row for every case, a column for every library."""
    kinds = collections.defaultdict(lambda: collections.defaultdict(dict))
    units = {}
    for line in lines:
        if "kernel" in line:
            kinds[line["kernel"]][line["case"]][line["library"]] = line["value"]
            units[line["kernel"]] = line["unit"]
    parts = []
    for kind, cases in kinds.items():
        libraries = list(dict.fromkeys(name for row in cases.values() for name in row))
        rows = [[case] + [number(row[name]) if name in row else "–" for name in libraries]
                for case, row in cases.items()]
        parts.append(f"{kind}, {units[kind]}:")
        parts.append(table(["case", *libraries], rows))
    return parts


def sections(lines):
    """Text by name of the section of the page."""
    runs, found = by_run(lines), {}
    if runs:
        found["steps"] = "\n\n".join(
            [machine(runs), "Milliseconds a step, median of the rounds' medians (spread of the rounds):",
             *step_tables(runs), "What our own runs say:", own_table(runs),
             "Peak process memory, MB, one thread:", memory_table(runs)])
    kernels = kernel_tables(lines)
    if kernels:
        found["kernels"] = "\n\n".join(kernels)
    return found


def replace_section(page, name, text):
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1:
        raise SystemExit(f"{page}: expected one {begin.strip()} and one {end}")
    before, rest = old.split(begin)
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")
