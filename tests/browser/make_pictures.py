#!/usr/bin/env python3
"""make_pictures.py SEQ2SEQ: makes the explorer's pages anew and takes the pictures in docs/explorer of them.

Needs what the browser tests need, and Pillow, which gives the pictures a small palette. The answers in
docs/explorer.md may then need an update, which sample_test.py detects.
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "docs/explorer"
WIDE, NARROW = {"width": 1280, "height": 1040}, {"width": 320, "height": 900}
SCORES = "#s=B5&h=0&l=1&c=2,1&a=dS"
# name: (page, address, window); NORM is the decoder's first layer norm.
PICTURES = {
    "weights": ("explorer", "#s=F4&h=1&l=2&c=0,4&a=P&t=light", WIDE),
    "scores-gradient": ("explorer", f"{SCORES}&t=light", WIDE),
    "layer-norm": ("explorer", "#n=NORM&d=b&t=light", WIDE),
    "what-if": ("explorer", "#w=1&t=light", WIDE),
    "broken": ("broken-softmax-diagonal-only", "#t=light", WIDE),
    "dark": ("explorer", f"{SCORES}&t=dark", WIDE),
    "narrow": ("explorer", f"{SCORES}&t=light", NARROW),
}


def small(file):
    from PIL import Image

    Image.open(file).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(file, optimize=True)


def pictures(folder):
    from support import browser, opened, recording

    data = recording(folder / "explorer.html")
    norm = next(n["id"] for n in data["nodes"] if n["op"] == "layer_norm" and "decoder" in n["module"])
    with browser() as chromium:
        for name, (page, address, window) in PICTURES.items():
            file = TARGET / f"{name}.png"
            address = address.replace("NORM", str(norm)) + "&lang=en"
            with opened(chromium, address, folder / f"{page}.html", viewport=window) as shown:
                if window == NARROW:
                    shown.evaluate("document.querySelector('#lab-title').scrollIntoView()")
                shown.screenshot(path=file)
            small(file)


def main(program):
    TARGET.mkdir(exist_ok=True)
    for file in TARGET.glob("*.png"):
        file.unlink()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, HERE / "make_pages.py", program, folder], check=True)
        pictures(pathlib.Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
