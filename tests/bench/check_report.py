"""The tables that compare.py and scaling.py write, from made-up lines and from runs cut short."""
import json
import pathlib
import sys
import tempfile
import xml.etree.ElementTree

import compare_report
import compare_tables
import provenance
import scaling_report

PAGE = "before\n<!-- steps: begin -->\nold\n<!-- steps: end -->\nafter\n"
RUN = {"run": {"part": "steps", "date": "2000-01-02", "cpu": "Some CPU", "cores": 4, "usable": 2,
               "versions": {"PyTorch": "1.2", "Eigen": "3"}, "commit": "abc", "command": "compare.py steps",
               "load": [0.1, 0.2, 0.3]}}
END = {"run_end": {"load": [1.0, 0.5, 0.25]}}


def line(name, number, ms, **more):
    return {"size": "S", "threads": 1, "name": name, "round": number, "load": 0.5, "step_ms": ms,
            "tokens_per_s": 320e3 / ms, "peak_rss_mb": 10.0, **more}


def own(number, ms, **more):
    said = {"gflops": 100.0, "fma_peak_gflops": 200.0, "share_of_peak": 0.5, "nodes": 141,
            "tape_bytes": 2500000, "allocations": 0.0, "isa": "avx512", "peak_rss_mb": 5.0}
    return line(more.pop("name", "tapegrad"), number, ms, **{**said, **more})


STEPS = [RUN, {"node_bench": {"ns_per_node": 12.5}},
         own(0, 1.0), line("eager fused", 0, 9.0), line("eager plain", 0, 30.0), line("jax", 0, 3.0),
         own(1, 2.0), line("eager fused", 1, 11.0), line("eager plain", 1, 30.0), line("jax", 1, 5.0),
         own(2, 4.0), line("eager fused", 2, 10.0), line("eager plain", 2, 30.0), line("jax", 2, 8.0), END]
KERNELS = [{**RUN, "run": {**RUN["run"], "part": "kernels"}},
           {"kernel": "softmax", "unit": "ns", "case": "2 × 3", "library": "tapegrad", "value": 0.5},
           {"kernel": "softmax", "unit": "ns", "case": "2 × 3", "library": "Eigen", "value": 12.34},
           {"kernel": "softmax", "unit": "ns", "case": "4 × 5", "library": "tapegrad", "value": 123.4},
           *({"kernel": "matrix product", "unit": "GFLOP/s", "case": case, "library": name, "value": value}
             for case, row in {"NN": (96, 100), "NT": (80, 100)}.items()
             for name, value in zip(("tapegrad", "Eigen"), row))]


def attention_lines():
    times = {("tapegrad", 0): (10, 20, 30), ("tapegrad", 0.1): (40, 40, 40), ("PyTorch", 0): (60, 60, 50),
             ("PyTorch", 0.1): (10, 20, 20)}
    yield RUN
    for (library, dropout), rounds in times.items():
        for number, value in enumerate(rounds):
            yield {"kernel": "attention forward and backward", "unit": "µs", "library": library,
                   "case": f"T 64, causal, dropout {dropout:g}", "value": value, "round": number}
    yield {"kernel": "attention forward", "case": "T 64, causal, dropout 0", "library": "PyTorch", "value": 1}


def decode_lines():
    yield RUN
    for number, (ours, torch) in enumerate([(2, 40), (4, 60), (3, 50)]):
        shared = {"size": "S", "tokens": 10, "round": number}
        yield {**shared, "name": "tapegrad", "us_per_token": ours, "sentence_us": 70, "times_floor": 1.5}
        yield {**shared, "name": "PyTorch, its attention", "us_per_token": torch, "sentence_us": 900}


def size_lines():
    """Steps that take 20 µs, 1 s for 8e10 FLOPs and 1 s for 5e9 bytes, exactly."""
    yield RUN
    for d_model in (32, 64):
        for length in (8, 16, 32):
            flops, tape, params = 1e3 * d_model ** 2 * length, 1000 * length, 5 * d_model
            seconds = 2e-5 + 1.25e-11 * flops + 2e-10 * (tape + 28 * params)
            yield {"d_model": d_model, "length": length, "layers": 2, "batch": 4, "vocabulary": 64,
                   "flops": flops, "tape_bytes": tape, "params": params, "step_ms": 1e3 * seconds,
                   "fma_peak_gflops": 200, "round": 0}


def step_checks():
    steps = compare_tables.SECTIONS["steps"](STEPS)
    guess = 10 * 8.3 / 10.8  # DyNet, from the faster Adam
    yield ("medians and spread over rounds",
           f"| S | 1 | 2.00 (1.00–4.00) | 10.0 (9.00–11.0) | 30.0 (30.0–30.0) | – | – | 5.00 (3.00–8.00) "
           f"| {guess:.2f} † |" in steps and "† not run" in steps)
    yield "ratios to the fastest", "| S | 1 | 5.00 × | 2.50 × (JAX) |" in steps
    yield "our own row", "| S | 1 | 100 | 200 | 50 % | 141 | 2.5 | 0 |" in steps
    yield "memory and its shares", "| S | 5 | 10 | 10 | – | – | 10 | – | 0.50 | – |" in steps
    yield "overhead of a node", "costs 12.5 ns beyond its kernels" in steps
    yield ("what the numbers depend on",
           steps.startswith("2000-01-02, Some CPU, 4 cores, 2 of them used, FMA peak 200 GFLOP/s a core; "
                            "commit abc; PyTorch 1.2, Eigen 3; load 0.1 0.2 0.3 before, 1.0 0.5 0.25 after; "
                            "`compare.py steps`.\n"))
    real = compare_tables.SECTIONS["steps"]([*STEPS[:-1], line("dynet", 0, 1.5)])
    yield ("a DyNet that ran takes the place of its record",
           "| S | 1 | 5.00 × | 0.75 × (DyNet) |" in real and "†" not in real)
    two = compare_tables.SECTIONS["steps"]([*STEPS[:-1], own(0, 1.0, threads=2),
                                            line("jax", 0, 6.0, threads=2)])
    yield "a peer may leave threads idle", "| S | 2 | 10.0 × | 5.00 × (JAX) |" in two
    yield "a run that did not end says so", "0.1 0.2 0.3 before, cut short;" in real


def part_checks():
    kernels = compare_tables.SECTIONS["kernels"](KERNELS)
    yield "a row a case, a column a library", "| 2 × 3 | 0.500 | 12.3 |\n| 4 × 5 | 123 | – |" in kernels
    yield "own products against the best", "faster, in 1 of 2 shapes; at worst 0.80 of it (NT)." in kernels
    attention = compare_tables.SECTIONS["attention"](list(attention_lines()))
    yield ("attention, by length and dropout",
           "| 64 | 20.0 (10.0–30.0) | 60.0 (50.0–60.0) | 3.00 × | 40.0 (40.0–40.0) | 20.0 (10.0–20.0) "
           "| 0.50 × |" in attention)
    decode = compare_tables.SECTIONS["decode"](list(decode_lines()))
    yield "decoding, ours", "| S | 10 | tapegrad | 3.00 (2.00–4.00) | 70.0 | 1.50 | – |" in decode
    yield ("decoding, theirs",
           "| S | 10 | PyTorch, its attention | 50.0 (40.0–60.0) | 900 | – | 16.7 × |" in decode)


def scaling_checks():
    text, files = scaling_report.SECTIONS["size"](list(size_lines()))
    yield ("a law that holds is found",
           "20.0 µs + FLOPs × 1/(80.0 GFLOP/s) + bytes × 1/(5.00 GB/s)" in text and "by 0 % at worst" in text)
    yield "shares of the peak", "| 64 | 0.433 (38 %) |" in text
    law = scaling_report.fit([(1.0, 1, 3), (2.0, 2, 2), (3.0, 3, 1)])
    yield "no term is negative", min(law) >= 0 and abs(law[1] - 1) < 1e-9
    plot = xml.etree.ElementTree.fromstring(files[scaling_report.PLOT])
    names = [node.tag.split("}")[1] for node in plot.iter()]
    yield "a point a case, two lines a model", names.count("circle") == 6 + 1 and names.count("polyline") == 4
    runs = [own(0, ms, threads=count, fma_peak_gflops=200.0 * count)
            for count, ms in ((1, 8.0), (2, 5.0), (4, 4.0))]
    table, _ = scaling_report.SECTIONS["threads"]([RUN, *runs])
    yield "threads", "| S | 320 | 4 | 4.00 (4.00–4.00) | 2.00 × | 50 % | 100 | 50 % | 5 |" in table


def page_checks():
    with tempfile.TemporaryDirectory() as folder:
        page, kept = pathlib.Path(folder) / "page.md", pathlib.Path(folder) / "lines/steps.jsonl"
        page.write_text(PAGE, encoding="utf-8")
        compare_report.replace_section(page, "steps", "new")
        compare_report.replace_section(page, "steps", "newer")
        text = page.read_text(encoding="utf-8")
        yield ("a section is replaced",
               text == "before\n<!-- steps: begin -->\n\nnewer\n\n<!-- steps: end -->\nafter\n")
        provenance.record(kept, "steps", {"Eigen": "3"}, iter([own(0, 1.0)]))
        provenance.record(kept, "steps", {"Eigen": "3"}, iter([own(0, 3.0, size="M")]), append=True)
        lines = provenance.read(kept)
        kinds = [next(iter(item)) for item in lines]
        yield "lines are kept between the first and the last", kinds == ["run", "size", "run_end"] * 2
        both = compare_tables.SECTIONS[provenance.part_of(lines)](lines)
        yield "runs are added to earlier ones", "| S | 1 | 1.00 " in both and "| M | 1 | 3.00 " in both
        yield "a line says the command", json.dumps(lines[0]).count("check_report.py") == 1


def main():
    bad = False
    for checks in (step_checks, part_checks, scaling_checks, page_checks):
        for name, good in checks():
            print(f"{'PASS' if good else 'FAIL'}: {name}")
            bad = bad or not good
    sys.exit(bad)


if __name__ == "__main__":
    main()
