#!/usr/bin/env python3
"""docs/explorer.md: its eight answers agree with its pages, at the addresses that it gives.

Numbers agree within 2 %: the page's model was trained in f32, on whatever machine ran the fixture.
"""

import pathlib
import re

import support
from support import FOLDER, PAGE, Opened, context, expect, recording, shown_cells

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "docs/explorer.md").read_text(encoding="utf-8")
BROKEN = FOLDER / "broken-softmax-diagonal-only.html"
ANSWERS = re.split(r"^\d\. ", TEXT.split("## Eight questions")[1].split("\n## ")[0], flags=re.M)
LABS = recording(PAGE)["labs"]


class Reader:
    """Opens the screens that the text names."""

    def __init__(self, settings):
        self.pages = {PAGE: Opened(settings, PAGE), BROKEN: Opened(settings, BROKEN)}

    def screen(self, number, file=PAGE):
        """The page at the address of answer `number`."""
        address = re.search(r"`(#[^`]*)`", ANSWERS[number])[1]
        return self.pages[file].go(address + ("&" if len(address) > 1 else "") + "lang=en")


def cells(page, name):
    return {(i, j): value for i, j, value, _ in shown_cells(page, name)}


def largest(row):
    return max(row, key=lambda j: abs(row[j]))


def says(number, *texts):
    for text in texts:
        expect(text in ANSWERS[number], f"answer {number} says {text}: {ANSWERS[number]}")


def counts(number, *values):
    told = [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d+", ANSWERS[number])]
    for value in values:
        near = any(abs(x - value) <= 0.02 * abs(value) for x in told)
        expect(near, f"answer {number} says {value:.3g}: {ANSWERS[number]}")


def attention(chromium):
    """Answers 1, 2, 3, 5 and 6."""
    settings = context(chromium)
    reader = Reader(settings)
    dS = cells(reader.screen(1), "dS")
    row = {j: x for (i, j), x in dS.items() if i == 2}
    says(1, f"`{LABS[1]['columns'][largest(row)]}`", f"`{LABS[1]['rows'][2]}`")
    counts(1, row[largest(row)])

    page = reader.screen(2)
    dP = cells(page, "dP")
    expect(dS[0, 3] == 0 and cells(page, "P")[0, 3] == 0 and dP[0, 3] != 0, "dS[0, 3] is masked")
    expect("masked" in page.inner_text(".explanation"), "the page says why")
    counts(2, dP[0, 3])

    page = reader.screen(3)
    sent = re.search(r"largest: (\S+)", page.inner_text("main")).group(1)
    norms = {
        name: sum(x * x for x in cells(page, f"dX ← {name}").values())
        for name in ("dQ W_Q", "dK W_K", "dV W_V")
    }
    says(3, sent, max(norms, key=norms.get))

    P = cells(reader.screen(5), "P")
    row = {j: x for (i, j), x in P.items() if i == 0}
    says(5, f"`{LABS[2]['columns'][largest(row)]}`", f"`{LABS[2]['rows'][0]}`")
    counts(5, row[largest(row)])

    biases = cells(reader.screen(6), "db_K")
    expect(max(map(abs, biases.values())) < 1e-16, f"db_K is {biases}")
    settings.close()


def a_broken_rule(chromium):
    """Answer 4."""
    settings = context(chromium)
    page = Reader(settings).screen(4, BROKEN)
    banner = page.inner_text(".banner.bad")
    expect("masked_softmax" in banner and "Sent by: " in banner, banner)
    says(4, BROKEN.name, "masked_softmax")
    settings.close()


def runs_with_a_change(chromium):
    """Answers 7 and 8."""
    settings = context(chromium)
    reader = Reader(settings)
    rows = reader.screen(7).evaluate(
        """[...document.querySelectorAll('.whatif tbody tr')].map((r) => [r.cells[0].textContent,
      r.cells[1].textContent, +r.cells[3].dataset.value, +r.cells[4].dataset.value])"""
    )
    head = max((r for r in rows if "multihead_attn" in r[1] and "head" in r[0]), key=lambda r: r[2])
    says(7, head[0])
    counts(7, head[2], head[3])

    title = reader.screen(8).evaluate(
        "[...document.querySelectorAll('[data-name]')].map((t) => t.dataset.name)"
        ".find((t) => t.endsWith('— update'))"
    )
    data = recording(PAGE)
    updates = [abs(x) for x in support.numbers(data, data["parameters"][2]["update"])]
    expect(title and 0.0098 < min(updates) <= max(updates) < 0.0102, "about the learning rate")
    says(8, "0.01")
    settings.close()


support.run(attention, a_broken_rule, runs_with_a_change)
