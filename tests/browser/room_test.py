#!/usr/bin/env python3
"""Pages of limited size: every omitted array has a summary, in numbers and words."""

import re

import support
from support import FOLDER, STEPS, Opened, context, expect, recording

LEFT_OUT = "left out: the page would be too large"
PAGES = [FOLDER / "least.html", FOLDER / "less.html"]


def text_of(page, selector="main"):
    return page.evaluate("selector => document.querySelector(selector).textContent", selector)


def tells_norm(text, norm):
    """True when a summary in `text` gives this norm, to the digits that the page prints."""
    told = re.findall(r"(?:norm|范数) ([\d.]+(?:e[+−-]?\d+)?)", text)
    return any(abs(float(x.replace("−", "-")) - norm) <= 6e-3 * norm for x in told)


def every_screen_is_quiet(chromium):
    settings = context(chromium)
    for file in PAGES:
        data, page = recording(file), Opened(settings, file)
        nodes = [f"#n={i}&d={d}" for i in data["order"] for d in "fb"]
        labs = [f"#s={step}&l={lab}&h=1" for step in STEPS for lab in range(max(len(data["labs"]), 1))]
        parameters = [f"#p={i}" for i in range(len(data["parameters"]))]
        for address in [*nodes, *labs, *parameters, *(f"#s=B5&q={i}&i=2" for i in range(8)), "#w=1"]:
            page.page.evaluate("address => { location.hash = address; }", address)
            page.page.evaluate("() => new Promise((done) => setTimeout(done))")
            shown = text_of(page.page)
            odd = [word for word in ("undefined", "[object", "NaN") if word in shown]
            expect(not odd, f"{file.name}{address}: {odd}")
        for key in ["Home", *["ArrowRight"] * 5, "h", "v", "g", "n", "v", "End", "ArrowLeft"]:
            page.page.keyboard.press(key)
        expect(page.messages == [], f"{file.name}: no console message, got {page.messages[:3]}")
    settings.close()


def a_left_out_array_says_so(chromium):
    settings = context(chromium)
    for file in PAGES:
        data = recording(file)
        absent = [n for n in data["nodes"] if n["val"] is None]
        node = next(n for n in absent if n["op"] == "linear" and n["id"] in data["order"])
        value = node["summary"]["value"]
        for language, says in (("en", LEFT_OUT), ("zh", "已略去：否则本页过大")):
            page = Opened(settings, file, f"#n={node['id']}&d=b&lang={language}").page
            views = page.evaluate("""() => [...document.querySelectorAll('main table.absent')]
              .map((t) => [t.caption.textContent, t.tBodies[0].textContent])""")
            expect(len(views) > 2 and all(says in body for _, body in views), f"{file.name}: {views[:2]}")
            expect(tells_norm(views[0][0], value["norm"]), f"{file.name}: norm of the value in {views[0]}")
            expect(page.query_selector("main p.note") is not None, f"{file.name}: a note on cells")
            banners = [banner.text_content() for banner in page.query_selector_all("p.banner")]
            told = [banner for banner in banners if str(len(absent)) in banner and says[-6:] in banner]
            expect(len(told) == 1, f"{file.name}: {banners}")
    settings.close()


def parameters_are_summed_up(chromium):
    settings = context(chromium)
    for file in PAGES:
        data = recording(file)
        entry = next(p for p in data["parameters"] if data["nodes"][p["node"]]["val"] is None)
        shown = text_of(Opened(settings, file, f"#p={data['parameters'].index(entry)}").page)
        sums = [data["nodes"][entry["node"]]["summary"]["gradient"], entry["summary"]]
        for summary in sums:
            expect(tells_norm(shown, summary["norm"]), f"{file.name}: norm {summary['norm']}")
        expect(shown.count(LEFT_OUT) >= 3, f"{file.name}: value, gradient and update say so")
    settings.close()


def the_lab_stays_as_long_as_it_can(chromium):
    settings = context(chromium)
    least, less = (Opened(settings, file, "#s=B5&l=0&h=0").page for file in PAGES)
    expect(LEFT_OUT in text_of(least), "without a lab its screen says why")
    expect(len(less.query_selector_all("main .checks .good")) >= 3, "dS is checked")
    expect(len(less.query_selector_all("main td[data-value]")) > 50, "dS is shown")
    settings.close()


support.run(
    every_screen_is_quiet,
    a_left_out_array_says_so,
    parameters_are_summed_up,
    the_lab_stays_as_long_as_it_can,
)
