"""make_pages.py SEQ2SEQ FOLDER [RECORD_TOOL]: a small model, trained for 120 steps, and its pages in FOLDER.

explorer.html, .json and .txt are one example of the model (1 + 1 layers, 2 heads, d_model 16);
rectangular.html has a shorter target; long.html has 12 tokens a side; least.html and less.html are the
first example with fewer bytes than all arrays need; broken-RULE.html are the first example with a backward
rule that is wrong on purpose; dropout.html was recorded with dropout; nan.html is of a model of NaN. Every
run writes equal bytes. copy.html and attention_by_hand.html (with .txt, the terminal's output) come
from the examples of these names beside SEQ2SEQ. With RECORD_TOOL, single.html is another model,
recorded in f32, and own.html is attention that is written out in ops.
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

SOURCE, TARGET = "a b c d e", "e d c b a"
LONG = "abcdefghabcd"
LARGEST = 1_200_000  # bytes
LARGEST_LONG = 2_000_000  # unless the page names its omissions


def run(program, *words, **environment):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1760000000", **environment})
    if done.returncode != 0:
        name = pathlib.Path(program).name
        sys.exit(f"FAIL: {name} {' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def train(program, folder):
    """Lines of 2 to 6 letters out of 8, reversed. The generic kernels give one model on every processor; sums
    of vector instructions would differ in their last digits."""
    draw = random.Random(1)
    lines = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(200)]
    lines.append("abcdefgh")
    data = folder / "reverse.tsv"
    text = "".join(f"{' '.join(line)}\t{' '.join(line[::-1])}\n" for line in lines)
    data.write_text(text, encoding="utf-8")
    model = folder / "model"
    for file in model.glob("*"):
        file.unlink()
    run(program, "train", data, "--out", model, "--tokens", "space", "--d-model", 16, "--heads", 2,
        "--layers", 1, "--ff", 32, "--steps", 120, "--batch", 128, "--lr", "0.01", "--warmup", 10,
        "--schedule", "constant", "--label-smoothing", 0, "--dropout", "0.1", "--threads", 1,
        "--max-length", 12, "--post-norm", "--report", TAPEGRAD_ISA="generic")
    return model


def without_numbers(model, folder):
    """The model with NaN for every weight."""
    shutil.copytree(model, folder, dirs_exist_ok=True)
    file = folder / "model.safetensors"
    data = file.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    file.write_bytes(data[:begin] + b"\xff" * (len(data) - begin))
    return folder


def main(program, folder, tool=None):
    folder.mkdir(parents=True, exist_ok=True)
    model = train(program, folder)
    explain = ["explain", model, "--source", SOURCE, "--target"]
    example = [*explain, TARGET]
    text = run(program, *example, "--out", folder / "explorer.html", "--json", folder / "explorer.json",
               "--text")
    (folder / "explorer.txt").write_text(text, encoding="utf-8")
    rules = [line.split(":")[0] for line in run(program, "explain", "--break", "list").splitlines()]
    for rule in rules:
        run(program, *example, "--out", folder / f"broken-{rule}.html", "--break", rule)
    run(program, *example, "--out", folder / "dropout.html", "--dropout", "--seed", 3)
    run(program, *explain, TARGET[:-2], "--out", folder / "rectangular.html")
    run(program, *example, "--out", folder / "least.html", "--max-bytes", 150_000)
    run(program, *example, "--out", folder / "less.html", "--max-bytes", 360_000)
    run(program, "explain", model, "--source", " ".join(LONG), "--target", " ".join(LONG[::-1]), "--out",
        folder / "long.html")
    broken = without_numbers(model, folder / "nan")
    run(program, "explain", broken, "--source", "a b", "--target", "b a", "--out", folder / "nan.html")
    run(program, *example, "--out", folder / "again.html")
    programs = pathlib.Path(program).parent
    run(programs / "copy", "--steps", 2, "--picture", folder / "copy.svg", "--explorer", folder / "copy.html")
    by_hand = run(programs / "attention_by_hand", folder / "attention_by_hand.html")
    (folder / "attention_by_hand.txt").write_text(by_hand, encoding="utf-8")
    for form in ("single", "own") if tool else ():
        (folder / f"{form}.html").write_text(run(tool, form), encoding="utf-8")
    again = (folder / "again.html").read_bytes() == (folder / "explorer.html").read_bytes()
    (folder / "again.html").unlink()
    print(f"{'PASS' if again else 'FAIL'}: the same run writes the same bytes")
    pages = sorted(folder.glob("*.html"))
    large = []
    for page in pages:
        most = LARGEST_LONG if page.stem == "long" else LARGEST
        if page.stat().st_size > most and "the page would be too large" not in notices(page):
            large.append(page)
    for page in pages:
        print(f"{'FAIL' if page in large else 'PASS'}: {page.name}, {page.stat().st_size} bytes")
    sys.exit(not again or bool(large))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:])
