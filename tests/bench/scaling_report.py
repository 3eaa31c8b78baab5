"""The output of scaling.py: a law for a step's time, its tables and plot, and the threads' table."""
import collections
import itertools
import statistics

import provenance
import scaling_plot
from compare_report import middle, number, ratio, table

PLOT = "benchmarks_scaling.svg"
# Adam reads parameter, gradient and two moments and writes all but the gradient, four bytes each.
BYTES_A_PARAMETER = 28


def solve(matrix, right):
    """x of a small symmetric system, by Gauss with pivots; None where it is singular."""
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        if abs(rows[pivot][i]) < 1e-14:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(size):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i])]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def fit(cases):
    """(a, b, c), none below 0, of seconds = a + b FLOPs + c bytes, by least squares of relative errors.

    A case is (seconds, FLOPs, bytes). Of the solutions with some terms left out, the best without a negative
    term is the minimum under that bound.
    """
    scale = [1, max(flops for _, flops, _ in cases), max(size for _, _, size in cases)]
    rows = [[x / s / seconds for x, s in zip((1, flops, size), scale)] for seconds, flops, size in cases]
    best, found = float("inf"), (0, 0, 0)
    for terms in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in (1, 2, 3)):
        normal = [[sum(row[i] * row[j] for row in rows) for j in terms] for i in terms]
        x = solve(normal, [sum(row[i] for row in rows) for i in terms])
        if x is None or min(x) < 0:
            continue
        error = sum((1 - sum(value * row[i] for value, i in zip(x, terms))) ** 2 for row in rows)
        if error < best:
            best, full = error, dict(zip(terms, x))
            found = tuple(full.get(i, 0) / scale[i] for i in range(3))
    return found


def rate(slope, unit):
    return f"1/({number(1e-9 / slope)} {unit})" if slope > 0 else "0"


def size_cases(lines):
    """(d_model, length) -> median seconds, FLOPs, bytes, FMA peak in FLOP/s."""
    runs = collections.defaultdict(list)
    for line in lines:
        if "step_ms" in line:
            runs[line["d_model"], line["length"]].append(line)
    return {key: (1e-3 * middle(found), found[0]["flops"],
                  found[0]["tape_bytes"] + BYTES_A_PARAMETER * found[0]["params"],
                  1e9 * middle(found, "fma_peak_gflops"))
            for key, found in sorted(runs.items())}


def grid(cases, text):
    """A table with d_model down and length across."""
    lengths = sorted({length for _, length in cases})
    rows = [[str(d_model), *(text(d_model, length) if (d_model, length) in cases else "–"
                             for length in lengths)] for d_model in sorted({d for d, _ in cases})]
    return table(["d_model", *(f"T {length}" for length in lengths)], rows)


def size_section(lines):
    cases = size_cases(lines)
    first = next(line for line in lines if "step_ms" in line)
    law = fit([case[:3] for case in cases.values()])
    fitted = {key: law[0] + law[1] * case[1] + law[2] * case[2] for key, case in cases.items()}
    errors = {key: cases[key][0] / fitted[key] - 1 for key in cases}
    worst = max(errors, key=lambda key: abs(errors[key]))
    typical = statistics.median(map(abs, errors.values()))
    peak = statistics.median(case[3] for case in cases.values())
    floors = {key: case[1] / case[3] for key, case in cases.items()}
    section = [
        provenance.text(lines, 1e-9 * peak),
        f"One thread, {first['layers']} + {first['layers']} layers, feed-forward 4 × d_model, "
        f"{first['batch']} sentences of T symbols of {first['vocabulary']}. Milliseconds a step (share of "
        "the FMA peak):",
        grid(cases, lambda d, t: f"{number(1e3 * cases[d, t][0])} "
                                 f"({100 * floors[d, t] / cases[d, t][0]:.0f} %)"),
        f"Fitted by least squares of relative errors: {number(1e6 * law[0])} µs + FLOPs × "
        f"{rate(law[1], 'GFLOP/s')} + bytes × {rate(law[2], 'GB/s')}, the bytes being those of the largest "
        f"tape and {BYTES_A_PARAMETER} a parameter. It misses a case by {100 * typical:.0f} % in the median "
        f"and by {100 * abs(errors[worst]):.0f} % at worst (d_model {worst[0]}, T {worst[1]}). Measured over "
        "fitted:",
        grid(cases, lambda d, t: f"{1 + errors[d, t]:.2f}"),
        f"![Milliseconds a step against length, a line for each d_model, with the fit and the FLOP floor]"
        f"({PLOT})"]
    points = {key: (1e3 * case[0], 1e3 * fitted[key], 1e3 * floors[key]) for key, case in cases.items()}
    return "\n\n".join(section), {PLOT: scaling_plot.svg(points)}


def threads_section(lines):
    runs = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in lines:
        if "step_ms" in line:
            runs[line["size"]][line["threads"]].append(line)
    rows, peak = [], []
    for size, counts in runs.items():
        one = middle(counts[min(counts)]) * min(counts)
        for count, found in counts.items():
            times = [line["step_ms"] for line in found]
            faster = one / middle(found)
            peak.append(middle(found, "fma_peak_gflops") / count)
            spread = f"{number(middle(found))} ({number(min(times))}–{number(max(times))})"
            tokens = 1e-3 * found[0]["tokens_per_s"] * found[0]["step_ms"]
            rows.append([size, f"{tokens:.0f}", str(count), spread, ratio(faster),
                         f"{100 * faster / count:.0f} %",
                         number(middle(found, "gflops")),
                         f"{100 * middle(found, 'share_of_peak'):.0f} %",
                         f"{middle(found, 'peak_rss_mb'):.0f}"])
    return "\n\n".join([provenance.text(lines, max(peak)),
                        "Milliseconds a step, median of the rounds' medians (spread); the FMA peak is that "
                        "of as many threads at once:",
                        table(["size", "tokens", "threads", "ms", "faster than one", "of ideal",
                               "GFLOP/s", "of the FMA peak", "process, MB"], rows)]), {}


SECTIONS = {"size": size_section, "threads": threads_section}
