#!/usr/bin/env python3
"""The pages that quickstart.sh and attention_by_hand write: whole, and no screen of them is empty."""

import re

import support
from support import FOLDER, Opened, context, expect, numbers, recording, shown_cells

COPY, BY_HAND = FOLDER / "copy.html", FOLDER / "attention_by_hand.html"
HATCHED = """() => [...document.querySelectorAll('main *, nav *')].filter((e) => e.className !== 'ramp'
  && getComputedStyle(e).backgroundImage !== 'none').map((e) => e.outerHTML.slice(0, 80))"""
NO_OUTPUT = [step for step in support.STEPS if step not in ("F6", "B0")]
PLACES = {  # the places in the lab of the arrays that the terminal prints
    "F1": ["Q", "K", "V"],
    "F2": ["S"],
    "F4": ["P"],
    "F5": ["O"],
    "B1": ["dO"],
    "B2": ["dV"],
    "B3": ["dP"],
    "B5": ["dS"],
    "B6": ["dQ"],
    "B7": ["dK"],
    "B8": ["dX"],
    "B9": ["dW_Q", "dW_K", "dW_V"],
}


def nothing_is_left_out(chromium):
    for file in (COPY, BY_HAND):
        data = recording(file)
        expect(data["meta"]["notices"] == [], f"{file.name}: {data['meta']['notices']}")
        expect(all(n["val"] is not None for n in data["nodes"]), f"{file.name} holds every value")
        whole = [e for n in data["nodes"] for e in n["edges"] if "off" in e]
        expect(whole == [e for n in data["nodes"] for e in n["edges"]], f"{file.name} holds what rules send")
        expect(all(p["update"] for p in data["parameters"]), f"{file.name} holds every update")


def they_open_plainly(chromium):
    """No banner and no hatched box on the first screen, in light, in dark, wide and narrow."""
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 320), ("dark", 320)):
        settings = context(chromium, color_scheme=scheme, viewport={"width": width, "height": 900})
        for file in (COPY, BY_HAND):
            page = Opened(settings, file).page
            where = f"{file.name}, {scheme}, {width} px"
            expect(page.locator(".banner").count() == 0, f"{where}: no banner")
            expect("left out" not in page.inner_text("body"), f"{where}: nothing left out")
            hatched = page.evaluate(HATCHED)
            expect(hatched == [], f"{where}: hatched: {hatched[:3]}")
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            expect(over <= 0, f"{where}: {over} px too wide")
            page.close()
        settings.close()


def every_screen_of_the_labs_has_numbers(chromium):
    settings = context(chromium)
    for file, steps in ((COPY, support.STEPS), (BY_HAND, NO_OUTPUT)):
        opened, labs = Opened(settings, file), recording(file)["labs"]
        expect(len(labs) == (3 if file == COPY else 1), f"{file.name} has {len(labs)} labs")
        for lab in range(len(labs)):
            for step in steps:
                page = opened.go(f"#s={step}&h=0&l={lab}&lang=en")
                there = page.locator("ol.lab-steps button").all_inner_texts()
                expect(there == steps, f"{file.name}: steps {there}")
                where, title = f"{file.name}, lab {lab}, {step}", page.inner_text("#lab-title")
                expect(title.startswith(step), f"{where}: {title}")
                expect(page.locator("main table.matrix td[data-value]").count() > 0, f"{where}: numbers")
                expect(page.locator("ul.checks li.good").count() > 0, f"{where}: checks")
                expect(page.locator("main .bad").count() == 0, f"{where}: no check fails")
        for question in range(8):
            page = opened.go(f"#s=F1&h=0&l=0&q={question}&i=0&lang=en")
            expect("= ?" in page.inner_text(".question"), f"{file.name}: question {question}")
            page.click("[data-focus=reveal]")
            expect(page.locator("main .explanation .total:not(.bad)").count() == 1, f"answer {question}")
        expect(opened.messages == [], f"{file.name}: {opened.messages[:3]}")
    settings.close()


def three_tokens_have_names(chromium):
    data = recording(BY_HAND)
    labels = {n["label"] for n in data["nodes"]}
    missing = {"X", "W_Q", "W_K", "W_V", "Q", "K", "V", "S", "P", "O", "L"} - labels
    expect(not missing, f"names of values: {missing}")
    lab, tokens = data["labs"][0], data["tokens"]["source"]
    expect(len(tokens) == 3 and lab["rows"] == lab["columns"] == tokens, f"names of tokens: {lab['rows']}")
    settings = context(chromium)
    page = Opened(settings, BY_HAND, "#s=B5&h=0&l=0&lang=en").page
    rows = page.locator("table[data-name=dS] tbody th").all_inner_texts()
    columns = page.locator("table[data-name=dS] thead th").all_inner_texts()
    expect(rows == columns == tokens, f"dS: {rows}, {columns}")
    settings.close()


def the_page_has_the_terminals_numbers(chromium):
    text = (FOLDER / "attention_by_hand.txt").read_text(encoding="utf-8")
    settings = context(chromium)
    opened = Opened(settings, BY_HAND)
    for step, name in ((step, name) for step, names in PLACES.items() for name in names):
        lines = re.search(rf"^{name} *= .*\n((?:[ \d.|-]+\n)+)", text, re.M)[1].strip("\n").split("\n")
        told = [float(x) for line in lines for x in line.split("|")[1].split()]
        cells = shown_cells(opened.go(f"#s={step}&h=0&l=0&lang=en"), name)
        expect(cells is not None and len(cells) == len(told), f"{name} is shown in {step}")
        off = [abs(x - value) for x, (_, _, value, _) in zip(told, cells or [])]
        expect(max(off, default=0) <= 5.001e-5, f"{name}: the terminal is off by {max(off, default=0)}")
    settings.close()


def the_small_model_has_learnt(chromium):
    """The weights of cross-attention and the logits of copy.html point at the right tokens."""
    data = recording(COPY)
    nodes = {n["id"]: n for n in data["nodes"]}
    logits = nodes[data["output"]["logits"]]
    columns, values = logits["shape"][-1], numbers(data, logits["val"])
    rows = [values[i : i + columns] for i in range(0, len(values), columns)]
    said = [data["tokens"]["target_vocabulary"][row.index(max(row))] for row in rows]
    expect(said == data["tokens"]["label"], f"it answers {said} to {data['tokens']['label']}")
    expect("a model of" in data["meta"]["title"], f"the title says which model: {data['meta']['title']}")


support.run(
    nothing_is_left_out,
    they_open_plainly,
    every_screen_of_the_labs_has_numbers,
    three_tokens_have_names,
    the_page_has_the_terminals_numbers,
    the_small_model_has_learnt,
)
