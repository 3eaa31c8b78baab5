"""report.py BUILD PAGE: everything that is compared with PyTorch, and the measured part of docs/parity.md.

Runs compare.py and configurations.py with three seeds, the round trips of state dicts, first values, the
safetensors scripts and the Python of docs/pytorch.md. Prints their failures and at last `N passed, N failed`;
PAGE is rewritten between its two marks when nothing failed.
"""
import json
import pathlib
import re
import subprocess
import sys

import pytorch  # noqa: F401
import numpy
import safetensors
import torch

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- measured -->", "<!-- end of what is measured -->"
SEEDS = (1, 2, 3)


class Runner:
    """Runs scripts of tests/ and counts what they say."""

    def __init__(self, build):
        self.build, self.passed, self.failed = build, 0, 0

    def __call__(self, script, *arguments):
        """The JSON lines and the texts behind `PASS:` that the script printed."""
        command = [sys.executable, str(HERE.parent / script), *map(str, arguments)]
        print(f"--- {script} {' '.join(map(str, arguments))}", flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = done.stdout.split("\n")
        measured = [json.loads(line) for line in lines if line.startswith("{")]
        passed = [line[6:] for line in lines if line.startswith("PASS: ")]
        failed = [line for line in lines if line.startswith("FAIL: ")]
        if done.returncode != 0 and not failed:
            failed = [f"FAIL: {script} ended with {done.returncode}: {done.stderr[-2000:]}"]
        print(*failed, sep="\n", end="\n" if failed else "", flush=True)
        self.passed += len(passed) or not failed
        self.failed += len(failed)
        return measured, passed, lines


def table(head, rows):
    return "\n".join(["| " + " | ".join(map(str, row)) + " |" for row in
                      (head, ["---"] * len(head), *rows)])


def short(error):
    return f"{error:.1e}" if error else "0"


def families(run):
    """The cases of parity_tool."""
    measured, reasons = {}, {}
    for seed in SEEDS:
        for line in run("parity/compare.py", "--tool", run.build / "tests/parity_tool", "--seed", seed)[0]:
            measured.setdefault(line["family"], {}).setdefault(line["dtype"], []).append(line)
            for case, reason in line["none"].items():
                reasons.setdefault(reason, set()).add(f"{line['family']}: {case}")
    rows = []
    for family, lines in sorted(measured.items()):
        exact, single = lines["f64"], lines["f32"]
        rows.append((f"`{family}`", exact[0]["cases"], short(max(line["max_error"] for line in exact)),
                     short(exact[0]["limit"]), short(max(line["max_error"] for line in single)),
                     short(single[0]["limit"]), short(max(line.get("pytorch_f32", 0) for line in single))))
    text = [table(("family", "cases", "f64", "limit", "f32", "limit", "PyTorch's f32 to its f64"), rows)]
    if reasons:
        text += ["", "PyTorch has nothing to compare these with:", ""]
        text += [f"- {reason} ({len(cases)} {'case' if len(cases) == 1 else 'cases'})"
                 for reason, cases in sorted(reasons.items())]
    return text


def configurations(run):
    """Whole Transformers by `bin/parity`."""
    lines = run("parity/configurations.py", run.build / "bin/parity", "--seed", *SEEDS)[0]
    kept, seeds = ([line for line in lines if key in line] for key in ("file", "seed"))
    if len(seeds) < len(SEEDS):
        return []

    def errors(line, prefix):
        return [f"{short(line[prefix + kind])} ({line[prefix + 'backward_' + kind]:.1f})"
                for kind in ("out", "gradients")]

    rows = []
    for dtype, prefix, who in (("f64", "", "tapegrad"), ("f32", "", "tapegrad"),
                               ("f32", "pytorch_", "PyTorch")):
        found = [line[dtype] for line in seeds]
        largest = {name: max(line[name] for line in found) for name in found[0]}
        rows.append((who, dtype, sum(line["configurations"] for line in found), *errors(largest, prefix)))
    rows += [(who, f"`{line['file']}`", 1, *errors(line, prefix)) for line in kept
             for prefix, who in (("", "tapegrad"), ("pytorch_", "PyTorch"))]
    nearer = sum(line["f32"]["nearer_to_f64"] for line in seeds)
    condition = [max(line["f32"][f"condition_{kind}"] for line in seeds) for kind in ("out", "gradients")]
    return [f"{len(seeds)} × {seeds[0]['configurations']} Transformers, {seeds[0]['fully_masked']} of each "
            "seed with rows of the source, target or memory that are masked in full, and those of "
            "`tests/parity/hard`, whose condition numbers are large. The largest errors from PyTorch's f64, "
            "and in brackets the largest backward errors in units of the roundoff:", "",
            table(("computed by", "dtype", "Transformers", "out", "gradients"), rows), "",
            f"The limit is a backward error of {seeds[0]['limit']} roundoffs. Condition numbers reach "
            f"{condition[0]:.0f} for out and {condition[1]:.0f} for gradients. In f32 the gradients "
            f"here are the nearer to f64 in {nearer} of {rows[1][2]} configurations."]


def files_and_models(run):
    tools = run.build / "tests"
    verdicts = [line for line in run("nn/io/safetensors_corpus.py", run.build / "bin/seq2seq",
                                     tools / "safetensors_tool")[2] if " verdicts " in line]
    written = run("nn/io/safetensors_writer.py", tools / "safetensors_tool")[1]
    round_trips = run("parity/state_dict.py", tools / "state_dict_tool")[1]
    first = run("parity/first_values.py", tools / "state_dict_tool")[1]
    page = run("docs/pytorch_page.py", run.build)[1]
    errors = [float(found[1]) for line in page if (found := re.search(r"error (\S+),", line))]
    return [f"- safetensors, reading: {', '.join(verdicts)}",
            f"- safetensors, writing: {', '.join(line.split(', torch')[0] for line in written)}",
            f"- state dicts: {len(round_trips)} layers there and back, strictly, all tensors equal",
            f"- first values: {len(first)} layers begin as PyTorch's do, but for the differences below",
            "- `model.safetensors` of `seq2seq train` in the module of [pytorch.md](pytorch.md): "
            f"{len(errors)} models, logits within {short(max(errors, default=0))} of the largest, "
            "limit 1e-5 (f32)"]


def wrapped(line):
    """Prose and lists at the width of the other pages."""
    if line.startswith("|") or len(line) <= 110:
        return [line]
    indent, words, lines = "  " if line.startswith("- ") else "", line.split(" "), [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > 110:
            lines.append(indent)
        lines[-1] += word if lines[-1] in ("", indent) else " " + word
    return lines


def main():
    run, page = Runner(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2])
    versions = (f"PyTorch {torch.__version__}, numpy {numpy.__version__}, safetensors "
                f"{safetensors.__version__}, seeds {', '.join(map(str, SEEDS))}.")
    text = [versions, "", "### Ops, layers, optimizers, schedules", "", *families(run), "",
            "### Whole Transformers", "", *configurations(run), "",
            "### Files and models", "", *files_and_models(run)]
    if run.failed == 0:
        before, rest = page.read_text(encoding="utf-8").split(BEGIN)
        body = "\n".join(part for line in "\n".join(text).split("\n") for part in wrapped(line))
        page.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
        print(f"{page} rewritten")
    print(f"{run.passed} passed, {run.failed} failed")
    sys.exit(run.failed != 0)


if __name__ == "__main__":
    main()
