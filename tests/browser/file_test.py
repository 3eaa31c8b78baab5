#!/usr/bin/env python3
"""The explorer's page as a file: one request, no message, small, fast, valid, alone in its frame."""

import json
import pathlib
import statistics
import tempfile

import support
from support import FOLDER, PAGE, STEPS, Opened, context, expect, opened, recording

DATA = recording()


def asks_for_nothing(chromium):
    settings = context(chromium)
    page = Opened(settings)
    for address in support.SCREENS:
        page.go(address)
        expect(
            [url.split("#")[0] for url in page.requests] == [f"file://{PAGE}"],
            f"requests {page.requests[:3]}",
        )
    page.page.keyboard.press("t")
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    expect(page.messages == [], f"no console message, got {page.messages[:3]}")
    policy = page.page.evaluate("document.querySelector('meta[http-equiv]').content")
    expect(
        policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:",
        f"Content-Security-Policy is {policy}",
    )
    settings.close()


def sizes(chromium):
    size, data = PAGE.stat().st_size, len(support.embedded(PAGE.read_text(encoding="utf-8")))
    print(f"{size:,} bytes, {data:,} of them the recording")
    expect(size <= 1_200_000, f"{size} bytes, more than 1.2 MB")
    for page in FOLDER.glob("*.html"):
        expect(page.stat().st_size <= 2_000_000, f"{page.name} has {page.stat().st_size} bytes")


class Work:
    """Processor time of a page's main thread, in ms: script, style, layout, drawing. What a busy machine
    gives to others does not count."""

    def __init__(self, page):
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def __call__(self):
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")


# Two frames, so that all that a key press brings about has been drawn.
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
STEP = """(key) => { const begin = performance.now();
  document.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  document.body.offsetHeight;
  return [performance.now() - begin, document.querySelectorAll('*').length]; }"""


TABLES = """() => { for (let k = 0; k < 4; ++k) { const table = document.createElement('table');
  table.innerHTML = Array.from({length: 40}, (_, i) => '<tr>' + Array.from({length: 25},
    (_, j) => `<td title="${i}">${(i / (j + 1)).toFixed(3)}</td>`).join('') + '</tr>').join('');
  document.body.append(table); document.body.offsetHeight; table.remove(); } }"""


def tables(chromium):
    """Processor time of four tables of 1000 cells each, in ms: the unit of work on this machine."""
    settings = context(chromium)
    page = settings.new_page()
    page.goto("about:blank")
    work, times = Work(page), []
    for _ in range(5):
        before = work()
        page.evaluate(TABLES)
        page.evaluate(SETTLED)
        times.append(work() - before)
    settings.close()
    return statistics.median(times)


def ready_after(chromium):
    """Processor time until the page can be used, and the time by the clock."""
    settings = context(chromium)
    page = settings.new_page()
    page.goto(f"file://{FOLDER}/explorer.txt")  # the renderer that the page will run in
    work = Work(page)
    before = work()
    page.goto(f"file://{PAGE}")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate(SETTLED)
    took = work() - before
    clock = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    settings.close()
    return took, clock


def budgets(chromium):
    unit = tables(chromium)
    ready = [ready_after(chromium) for _ in range(3)]
    count, elements = len(DATA["nodes"]) + len(DATA["order"]) - 1, 0
    worked, clock = [[] for _ in range(count)], [[] for _ in range(count)]
    with opened(chromium) as page:
        work = Work(page)

        def pressed(key):
            before = work()
            took, found = page.evaluate(STEP, key)
            page.evaluate(SETTLED)
            return work() - before, took, found

        page.evaluate(SETTLED)
        idle = min(pressed("F24")[0] for _ in range(10))  # a key without a meaning: what measuring costs
        for _ in range(2):
            page.keyboard.press("Home")
            page.evaluate(SETTLED)
            for step in range(count):
                took, by_clock, found = pressed("ArrowRight")
                worked[step].append(took - idle)
                clock[step].append(by_clock)
                elements = max(elements, found)
    settings = context(chromium)
    page = Opened(settings)
    for step in STEPS:
        for lab in range(len(DATA["labs"])):
            elements = max(
                elements, page.go(f"#s={step}&h=0&l={lab}").evaluate("document.querySelectorAll('*').length")
            )
    settings.close()

    def of_steps(times):
        best = sorted(map(min, times))
        within = best[int(0.95 * len(best))]
        return f"{statistics.median(best):.1f}, 95 % within {within:.1f}, all {best[-1]:.1f}"

    slow = sorted(map(min, worked))[int(0.95 * count)]
    print(
        f"ready after {min(ready)[0]:.0f} ms of work, "
        f"{min(c for _, c in ready):.0f} ms by the clock (budget 500)\n"
        f"a step: ms of work, drawing included: {of_steps(worked)} (budget 50), "
        f"less {idle:.1f} for measuring; by the clock {of_steps(clock)}\n"
        f"at most {elements} elements (budget 5000); four tables of 1000 cells: {unit:.0f} ms of work"
    )
    # The budgets in ms are for a quiet machine. These limits are relative, and hold on any.
    expect(0 < min(ready)[0] <= 20 * unit, f"ready after {min(ready)[0]:.0f} ms of work, unit {unit:.0f} ms")
    expect(0 < slow <= 5 * unit, f"a step takes {slow:.0f} ms of work, unit {unit:.0f} ms")
    expect(elements <= 5000, f"{elements} elements")


def side_by_side(chromium):
    """Two pages in one work alone."""
    with tempfile.TemporaryDirectory() as folder:
        both = pathlib.Path(folder) / "both.html"
        both.write_text(
            f"<iframe src='file://{PAGE}#n=0&d=f' width=900 height=600></iframe>"
            f"<iframe src='file://{PAGE}#s=B5&h=0&l=0' width=900 height=600></iframe>"
        )
        settings = context(chromium)
        page = settings.new_page()
        page.goto(f"file://{both}")
        for frame in page.frames[1:]:
            frame.wait_for_selector("html[data-ready]", state="attached")
        first = page.frames[1].inner_text("main h2")
        page.frames[2].click("[data-focus='labstep:B6']")
        texts = [f.inner_text("main h2") for f in page.frames[1:]]
        expect(texts[0] == first and "B6" in texts[1], f"headings {texts}")
        names = page.frames[1].evaluate(
            "Object.keys(window).filter((k) => /Explorer|Recording|labStep|matrixView|TEXT/.test(k))"
        )
        expect(names == [], f"globals: {names}")
        settings.close()


def without_javascript(chromium):
    """The static tables hold every array of head 1, forward and backward."""
    settings = context(chromium, java_script_enabled=False)
    page = settings.new_page()
    page.goto(f"file://{PAGE}")
    text = page.content()
    for lab in DATA["labs"]:
        for name in ("Q", "K", "V", "S", "P", "O", "dO", "dV", "dP", "D", "dS", "dQ", "dK"):
            expect(f"{name}:" in text and lab["path"] in text, f"{lab['path']} has {name} without JavaScript")
    expect(
        page.locator("noscript table").count() > 0 and page.locator("noscript table").first.is_visible(),
        "the tables are visible",
    )
    settings.close()


def valid_html(chromium):
    import html5lib

    parser = html5lib.HTMLParser(strict=False)
    parser.parse(PAGE.read_text(encoding="utf-8"))
    # A refresh of the list would be needed for `math` in html5lib; the page has none before its script runs.
    expect(parser.errors == [], f"html5lib: {[(place, code) for place, code, _ in parser.errors][:5]}")


def valid_json(chromium):
    import jsonschema

    schema = next(
        (
            parent / "docs/tape-1.schema.json"
            for parent in pathlib.Path(__file__).resolve().parents
            if (parent / "docs/tape-1.schema.json").exists()
        ),
        None,
    )
    expect(schema is not None, "docs/tape-1.schema.json exists")
    if schema:
        jsonschema.validate(DATA, json.loads(schema.read_text(encoding="utf-8")))
    alone = json.loads((FOLDER / "explorer.json").read_text(encoding="utf-8"))
    alone["meta"]["date"] = DATA["meta"]["date"]
    alone["fingerprint"] = DATA.get("fingerprint")
    expect(alone == DATA, "explain --json writes what the page carries")


support.run(asks_for_nothing, sizes, budgets, side_by_side, without_javascript, valid_html, valid_json)
