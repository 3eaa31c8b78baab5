"""The other sections of docs/benchmarks.md than the training step's, from compare.py's lines."""
import collections
import re
import statistics

import provenance
from compare_report import by_run, cell, middle, number, peak_of, ratio, steps_section, table

ATTENTION = "attention forward and backward"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def by_kernel(lines):
    """kind -> case -> library -> value, and the unit of each kind."""
    kinds = collections.defaultdict(lambda: collections.defaultdict(dict))
    units = {}
    for line in lines:
        if "kernel" in line:
            kinds[line["kernel"]][line["case"]][line["library"]] = line["value"]
            units[line["kernel"]] = line["unit"]
    return kinds, units


def against_best(cases):
    """A sentence that compares own products with the fastest library."""
    shares = {case: row["tapegrad"] / max(value for name, value in row.items() if name != "tapegrad")
              for case, row in cases.items() if "tapegrad" in row and len(row) > 1}
    if not shares:
        return []
    worst = min(shares, key=shares.get)
    near = sum(share >= 0.95 for share in shares.values())
    return [f"Within 5 % of the best library, or faster, in {near} of {len(shares)} shapes; at worst "
            f"{shares[worst]:.2f} of it ({worst})."]


def kernels_section(lines):
    """One table a kind of kernel: a row for every case, a column for every library."""
    kinds, units = by_kernel(lines)
    parts = [provenance.text(lines)]
    for kind, cases in kinds.items():
        libraries = list(dict.fromkeys(name for row in cases.values() for name in row))
        rows = [[case] + [number(row[name]) if name in row else "–" for name in libraries]
                for case, row in cases.items()]
        parts += [f"{kind}, {units[kind]}:", table(["case", *libraries], rows)]
        if kind == "matrix product":
            parts += against_best(cases)
    return "\n\n".join(parts)


def attention_section(lines):
    found = collections.defaultdict(list)  # (length, dropout, library) -> times
    for line in lines:
        case = re.fullmatch(r"T (\d+), causal, dropout ([\d.]+)", line.get("case", ""))
        if case and line["kernel"] == ATTENTION:
            found[int(case[1]), float(case[2]), line["library"]].append(line["value"])
    lengths = sorted({length for length, _, _ in found})
    dropouts = sorted({dropout for _, dropout, _ in found})
    head, rows = ["T"], []
    for dropout in dropouts:
        head += [f"tapegrad, dropout {dropout:g}", "PyTorch", "faster by"]
    for length in lengths:
        row = [str(length)]
        for dropout in dropouts:
            ours, torch = found[length, dropout, "tapegrad"], found[length, dropout, "PyTorch"]
            row += [spread(ours) if ours else "–", spread(torch) if torch else "–",
                    ratio(statistics.median(torch) / statistics.median(ours)) if ours and torch else "–"]
        rows.append(row)
    return "\n\n".join([provenance.text(lines),
                        "Causal attention forward and backward against scaled_dot_product_attention, µs, "
                        "one sentence, eight heads of 64, one thread; a round's time is that of its fastest "
                        "call by the thread's own clock; median of the rounds (spread). Ours are the kernels "
                        "by themselves, PyTorch's with its autograd:",
                        table(head, rows)])


def decode_section(lines):
    sizes = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in lines:
        if "us_per_token" in line:
            sizes[line["size"]][line["name"]].append(line)
    rows = []
    for size, every in sizes.items():
        ours = every.get("tapegrad")
        for name, runs in every.items():
            times = [line["us_per_token"] for line in runs]
            slower = statistics.median(times) / middle(ours, "us_per_token") if ours else None
            floor = [line["times_floor"] for line in runs if "times_floor" in line]
            rows.append([size, str(runs[0]["tokens"]), name, spread(times),
                         number(middle(runs, "sentence_us")),
                         number(statistics.median(floor)) if floor else "–",
                         ratio(slower) if slower and name != "tapegrad" else "–"])
    return "\n\n".join([provenance.text(lines),
                        "Greedy decoding of one sentence, one thread; µs a token after the first, median of "
                        "the rounds (spread). The floor is the time to read the decoder's weights once. "
                        "PyTorch keeps a key/value cache, too:",
                        table(["size", "tokens", "", "µs a token", "µs a sentence", "times the floor",
                               "slower than tapegrad by"], rows)])


SECTIONS = {"steps": steps_section, "kernels": kernels_section,
            "attention": attention_section, "decode": decode_section}
