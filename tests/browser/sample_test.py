#!/usr/bin/env python3
"""docs/explorer.md: its eight answers are what docs/explorer/sample.html shows, and that is up to date."""

import pathlib
import re

import support
from support import PAGE, Opened, context, expect, opened, recording, shown_cells

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
SAMPLE, BROKEN = DOCS / "explorer/sample.html", DOCS / "explorer/broken.html"
ANSWERS = re.split(
    r"^\d\. ", (DOCS / "explorer.md").read_text(encoding="utf-8").split("## Eight questions")[1], flags=re.M
)


def frame(file):
    """The page without what was recorded."""
    text = file.read_text(encoding="utf-8")
    text = text.replace(support.embedded(text), "")
    return re.sub(r"<noscript>.*?</noscript>|<title>.*?</title>", "", text, flags=re.S)


def up_to_date(chromium):
    expect(frame(SAMPLE) == frame(PAGE), "docs/explorer is out of date: run tests/browser/make_sample.py")
    expect(SAMPLE.stat().st_size <= 1_200_000, "at most 1.2 MB")
    for name in re.findall(r"explorer/[\w.-]+", (DOCS / "explorer.md").read_text(encoding="utf-8")):
        expect((DOCS / name).exists(), f"{name} exists")


def cells(page, name):
    return {(i, j): value for i, j, value, _ in shown_cells(page, name)}


def says(number, *texts):
    for text in texts:
        expect(text in ANSWERS[number], f"answer {number} says {text}: {ANSWERS[number]}")


def printed(x):
    return f"{x:.3g}".replace("-", "−")


def eight_answers(chromium):
    settings = context(chromium)
    link = Opened(settings, SAMPLE)
    labs = recording(SAMPLE)["labs"]
    for answer in range(1, 9):
        expect(
            re.search(r"\(explorer/(sample|broken)\.html", ANSWERS[answer]),
            f"answer {answer} has a place in the page",
        )

    page = link.go("#s=B5&h=0&l=1&c=3,0&a=dS&lang=en")
    dS = cells(page, "dS")
    row = {j: x for (i, j), x in dS.items() if i == 3}
    key = max(row, key=lambda j: abs(row[j]))
    says(1, f"`{labs[1]['columns'][key]}`", printed(row[key]), f"`{labs[1]['rows'][3]}`")

    page = link.go("#s=B5&h=0&l=1&c=0,3&a=dS&lang=en")
    dP = cells(page, "dP")
    expect(dS[0, 3] == 0 and cells(page, "P")[0, 3] == 0 and dP[0, 3] != 0, "dS[0, 3] is masked")
    expect("masked" in page.inner_text(".explanation"), "the page says why")
    says(2, printed(dP[0, 3]))

    page = link.go("#s=B8&h=0&l=1&lang=en")
    note = re.search(r"largest: (\S+)", page.inner_text("main")).group(1)
    norms = {
        name: sum(x * x for x in cells(page, f"dX ← {name}").values())
        for name in ("dQ W_Q", "dK W_K", "dV W_V")
    }
    says(3, note, max(norms, key=norms.get))

    with opened(chromium, "#lang=en", BROKEN) as broken:
        expect("masked_softmax" in broken.inner_text(".banner.bad"), broken.inner_text(".banner.bad"))
        expect(
            "Sent by: " in broken.inner_text(".banner.bad")
            and "softmax-diagonal-only" in broken.inner_text("main"),
            "",
        )
        says(4, "masked_softmax", recording(BROKEN)["meta"]["broken"])

    P = cells(link.go("#s=F4&h=1&l=2&lang=en"), "P")
    row = {j: x for (i, j), x in P.items() if i == 1}
    key = max(row, key=row.get)
    says(5, f"`{labs[2]['columns'][key]}`", printed(row[key]), f"`{labs[2]['rows'][1]}`")

    biases = cells(link.go("#s=B9&h=0&l=0&lang=en"), "db_K")
    expect(max(map(abs, biases.values())) < 1e-17, f"db_K is {biases}")

    page = link.go("#w=1&lang=en")
    rows = page.evaluate(
        """[...document.querySelectorAll('.whatif tbody tr')].map((r) => [r.cells[0].textContent,
      r.cells[1].textContent, +r.cells[3].dataset.value, +r.cells[4].dataset.value])"""
    )
    head = max((r for r in rows if "multihead_attn" in r[1] and "head" in r[0]), key=lambda r: r[2])
    says(7, head[0], printed(head[2]), printed(head[3]))

    page = link.go("#p=2&lang=en")
    title = page.evaluate(
        "[...document.querySelectorAll('[data-name]')].map((t) => t.dataset.name)"
        ".find((t) => t.endsWith('— update'))"
    )
    page.evaluate("document.querySelectorAll('figure button').forEach((b) => b.click())")
    data = recording(SAMPLE)
    updates = [abs(x) for x in support.numbers(data, data["parameters"][2]["update"])]
    expect(
        title and sorted(updates)[len(updates) // 2] > 0.0029 and max(updates) < 0.0031,
        "about the learning rate",
    )
    says(8, "0.003")
    settings.close()


def own_tests(chromium):
    settings = context(chromium)
    for file in (SAMPLE, BROKEN):
        result = Opened(settings, file, "#selftest").page.text_content("#selftest")
        expect(re.fullmatch(r"PASS (\d+)/\1", result) is not None, f"{file.name}: {result[:300]}")
    settings.close()


support.run(up_to_date, eight_answers, own_tests)
