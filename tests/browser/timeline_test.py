#!/usr/bin/env python3
"""The training timeline, FOLDER/model/report.html, in a real browser."""
import json
import math
import re

import support
from support import FOLDER, Opened, context, expect

try:
    from axe_playwright_python.sync_playwright import Axe
except ImportError:
    Axe = None

PAGE = FOLDER / "model" / "report.html"
TEXT = PAGE.read_text(encoding="utf-8")
CARRIED = re.compile(r'<script type="application/json" id="timeline">(.*?)</script>', re.S)
DATA = json.loads(CARRIED.search(TEXT)[1])
SAMPLES = DATA["samples"]
WAYS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced colours": {"forced_colors": "active"},
    "narrow": {"viewport": {"width": 320, "height": 800}},
}


def one_file(chromium):
    opened = Opened(context(chromium), PAGE)
    expect(opened.requests == [f"file://{PAGE}"], f"one request, got {opened.requests[:3]}")
    expect(opened.messages == [], f"no console message, got {opened.messages[:3]}")
    expect(len(TEXT) <= 2_000_000, f"size {len(TEXT)} <= 2 MB")
    count = opened.page.evaluate("document.querySelectorAll('*').length")
    print(f"{len(TEXT) / 1e3:.0f} KB, {len(SAMPLES)} samples, {count} elements")
    expect(count <= 5000, f"{count} elements")
    opened.page.context.close()


def selftest(chromium):
    opened = Opened(context(chromium), PAGE, "#selftest")
    said = opened.page.wait_for_selector("#selftest").text_content()
    found = re.fullmatch(r"PASS (\d+)/(\d+)", said)
    expect(found and found[1] == found[2] and int(found[1]) > len(SAMPLES), f"self test: {said}")
    opened.page.context.close()


def shown(page, caption):
    """Rows of the table: row name -> numbers."""
    return page.evaluate("""caption => {
      const table = [...document.querySelectorAll('table.numbers')]
        .find((t) => t.caption.textContent.startsWith(caption));
      return Object.fromEntries([...table.tBodies[0].rows].map((r) => [r.cells[0].textContent,
        [...r.cells].slice(1).map((c) => c.dataset.value ?? null)])); }""", caption)


def same(text, value):
    return text == "NaN" if math.isnan(value) else float(text) == value


def numbers(chromium):
    """Every number in the tables is that of the data, at the first, a middle and the last sample."""
    page = Opened(context(chromium), PAGE).page
    for i in {0, len(SAMPLES) // 2, len(SAMPLES) - 1}:
        page.goto("about:blank")
        page.goto(f"file://{PAGE}#i={i}&lang=en")
        page.wait_for_selector("html[data-ready]")
        sample, rows = SAMPLES[i], shown(page, "Layers at step")
        expect(list(rows) == DATA["layers"], "every layer has a row")
        for layer, name in enumerate(DATA["layers"]):
            weight, update = sample["weight"][layer], sample["update"][layer]
            wanted = [sample["gradient"][layer], weight, update, update / weight if weight > 0 else math.nan]
            agree = all(same(a, b) for a, b in zip(rows[name], wanted))
            expect(agree, f"sample {i}, {name}: {rows[name]} {wanted}")
        heads = [x for row in shown(page, "Entropy of the heads").values() for x in row if x is not None]
        expect([float(x) for x in heads] == sample["entropy"], f"sample {i}: entropies")
        expect(f"Step {sample['step']}," in page.text_content("[role=status]"), "status names the step")
    page.context.close()


def keyboard(chromium):
    page = Opened(context(chromium), PAGE, "#i=0&lang=en").page
    status = lambda: page.text_content("[role=status]")
    step = lambda i: f"Step {SAMPLES[i]['step']}, "
    last = len(SAMPLES) - 1
    moves = {"ArrowRight": 1, "End": last, "ArrowLeft": last - 1, "PageDown": max(last - 11, 0), "Home": 0}
    for key, at in moves.items():
        page.keyboard.press(key)
        expect(status().startswith(step(at)), f"{key}: {status()}")
    page.focus("input[type=range]")
    page.keyboard.press("ArrowRight")
    expect(status().startswith(step(1)), "the slider moves by keys")
    expect(page.evaluate("document.activeElement.type") == "range", "the slider keeps the focus")
    page.click("button[aria-label='Next sample']")
    expect(status().startswith(step(2)), "the button moves")
    page.select_option("#which", "1")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    kept = status().startswith(step(2)) and page.input_value("#which") == "1"
    expect(kept, "the address keeps sample and layer")
    page.click("[data-focus=language]")
    expect("第" in status() and page.evaluate("document.documentElement.lang") == "zh-Hans", "Chinese")
    page.context.close()


def accessible(chromium):
    for name, options in WAYS.items():
        page = Opened(context(chromium, **options), PAGE).page
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        page.wait_for_timeout(100)
        found = Axe().run(page).response["violations"]
        places = [(v["id"], v["nodes"][0]["html"][:80]) for v in found]
        expect(not found, f"{name}: axe: {places}")
        fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expect(fits, f"{name}: the page scrolls sideways")
        page.context.close()


def without_script(chromium):
    page = context(chromium, java_script_enabled=False).new_page()
    page.goto(f"file://{PAGE}")
    expect(page.locator("noscript table tr").count() > 1, "a table without JavaScript")
    page.context.close()


if __name__ == "__main__":
    support.run(one_file, selftest, numbers, keyboard, accessible, without_script)
