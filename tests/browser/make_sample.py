#!/usr/bin/env python3
"""make_sample.py SEQ2SEQ: writes docs/explorer/ anew: sample.html, broken.html and the screenshots.

Needs what the browser tests need; with Pillow the screenshots get a small palette. The answers in
docs/explorer.md may have to follow: sample_test.py tells.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

BROKEN = "softmax-diagonal-only"
ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs/explorer"
SHOTS = {
    "scores": "#s=F2&h=0&l=1&c=3,1&a=S",
    "weights": "#s=F4&h=1&l=2",
    "weights-gradient": "#s=B3&h=0&l=1",
    "scores-gradient": "#s=B5&h=0&l=1&c=3,0&a=dS",
    "input-gradient": "#s=B8&h=0&l=1",
    "layer-norm": "#n=NORM&d=b",
    "what-if": "#w=1",
    "broken": "",
}


def address(data, name):
    norm = next(n["id"] for n in data["nodes"] if n["op"] == "layer_norm" and "decoder" in n["module"])
    return SHOTS[name].replace("NORM", str(norm))


def small(file):
    try:
        from PIL import Image
    except ImportError:
        return
    Image.open(file).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(file, optimize=True)


def screenshots():
    from support import browser, opened, recording

    data = recording(TARGET / "sample.html")
    with browser() as chromium:
        for theme in ("light", "dark"):
            for name in SHOTS:
                file = TARGET / ("broken.html" if name == "broken" else "sample.html")
                hash = address(data, name)
                hash = (hash + "&" if hash else "#") + f"t={theme}&lang=en"
                with opened(chromium, hash, file, viewport={"width": 1280, "height": 860}) as page:
                    page.screenshot(path=TARGET / f"{name}-{theme}.png")
                small(TARGET / f"{name}-{theme}.png")
            hash = f"{SHOTS['scores-gradient']}&t={theme}&lang=en"
            file = TARGET / f"narrow-{theme}.png"
            narrow = {"width": 320, "height": 900}
            with opened(chromium, hash, TARGET / "sample.html", viewport=narrow) as page:
                page.evaluate("document.querySelector('#lab-title').scrollIntoView()")
                page.screenshot(path=file)
            small(file)


def main(program):
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_pages = pathlib.Path(__file__).parent / "make_pages.py"
        subprocess.run([sys.executable, make_pages, program, folder], check=True)
        shutil.copy(pathlib.Path(folder) / "explorer.html", TARGET / "sample.html")
        shutil.copy(pathlib.Path(folder) / f"broken-{BROKEN}.html", TARGET / "broken.html")
    screenshots()


if __name__ == "__main__":
    main(sys.argv[1])
