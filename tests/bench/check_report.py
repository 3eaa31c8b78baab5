"""The tables that compare.py writes, from made-up lines."""
import pathlib
import sys
import tempfile

import compare_report

PAGE = "before\n<!-- steps: begin -->\nold\n<!-- steps: end -->\nafter\n"


def line(name, number, ms, **more):
    return {"size": "S", "threads": 1, "name": name, "round": number, "load": 0.5, "step_ms": ms,
            "peak_rss_mb": 10.0, **more}


def own(number, ms):
    return line("tapegrad", number, ms, gflops=100.0, fma_peak_gflops=200.0, share_of_peak=0.5, nodes=141,
                tape_bytes=2500000, allocations=0.0, isa="avx512")


LINES = [own(0, 1.0), line("eager fused", 0, 9.0), line("eager plain", 0, 30.0), line("jax", 0, 3.0),
         own(1, 2.0), line("eager fused", 1, 11.0), line("eager plain", 1, 30.0), line("jax", 1, 5.0),
         own(2, 4.0), line("eager fused", 2, 10.0), line("eager plain", 2, 30.0), line("jax", 2, 8.0),
         {"kernel": "softmax", "unit": "ns", "case": "2 × 3", "library": "tapegrad", "value": 0.5},
         {"kernel": "softmax", "unit": "ns", "case": "2 × 3", "library": "Eigen", "value": 12.34},
         {"kernel": "softmax", "unit": "ns", "case": "4 × 5", "library": "tapegrad", "value": 123.4}]


def checks():
    found = compare_report.sections(LINES)
    steps, kernels = found["steps"], found["kernels"]
    guess = 10 * 8.3 / 10.8  # DyNet, from the faster Adam
    yield ("medians and spread over rounds",
           f"| S | 1 | 2.00 (1.00–4.00) | 10.0 (9.00–11.0) | 30.0 (30.0–30.0) | – | – | 5.00 (3.00–8.00) "
           f"| {guess:.2f} † |" in steps)
    yield "ratios to the fastest", "| S | 1 | 5.00 × | 2.50 × (JAX) |" in steps
    yield "our own row", "| S | 1 | 100 | 200 | 50 % | 141 | 2.5 | 0 |" in steps
    yield "a row a case, a column a library", ("| 2 × 3 | 0.500 | 12.3 |\n| 4 × 5 | 123 | – |" in kernels)
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.md"
        page.write_text(PAGE, encoding="utf-8")
        compare_report.replace_section(page, "steps", "new")
        compare_report.replace_section(page, "steps", "newer")
        text = page.read_text(encoding="utf-8")
        yield ("a section is replaced",
               text == "before\n<!-- steps: begin -->\n\nnewer\n\n<!-- steps: end -->\nafter\n")


def main():
    bad = False
    for name, good in checks():
        print(f"{'PASS' if good else 'FAIL'}: {name}")
        bad = bad or not good
    sys.exit(bad)


if __name__ == "__main__":
    main()
