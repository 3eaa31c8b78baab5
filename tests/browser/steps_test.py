#!/usr/bin/env python3
"""Stepping through the page: forward and back, links, the keyboard alone, screen readers."""

import re

import support
from support import Opened, context, expect, opened, recording

DATA = recording()
TOTAL = len(DATA["nodes"]) + len(DATA["order"])
HERE = "[document.activeElement.dataset.i, document.activeElement.dataset.j].join()"


def there_and_back(chromium):
    with opened(chromium, "#lang=en") as page:
        page.keyboard.press("Home")
        states, places = [page.text_content("main")], {page.evaluate("location.hash")}
        for _ in range(TOTAL - 1):
            page.keyboard.press("ArrowRight")
            states.append(page.text_content("main"))
            places.add(page.evaluate("location.hash"))
        expect(len(places) == TOTAL, f"{len(places)} different steps of {TOTAL}")
        before = page.evaluate("location.hash")
        page.keyboard.press("ArrowRight")
        expect(page.evaluate("location.hash") == before, "the last step is the last")
        for number in reversed(range(TOTAL - 1)):
            page.keyboard.press("ArrowLeft")
            if number % 10 == 0:
                expect(page.text_content("main") == states[number], f"back at step {number + 1}")
        page.keyboard.press("End")
        expect(page.text_content("main") == states[-1], "End goes to the last step")
        page.keyboard.press("Home")
        expect(page.text_content("main") == states[0], "Home goes to the first")
        page.keyboard.press("Shift+ArrowRight")
        expect(page.text_content("main") != states[0], "Shift and an arrow go to the next module")


def links(chromium):
    """An address restores the step, head, cell and theme."""
    settings = context(chromium)
    page = Opened(settings, address="#lang=en").page
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    text, address = page.text_content("main"), page.evaluate("location.hash")
    link = Opened(settings, address=address)
    expect(link.page.text_content("main") == text, "a step")
    page = link.go("#s=B5&h=1&l=0&c=2,1&a=dS&t=dark&lang=en")
    expect(page.inner_text("main .explanation h3") == "dS[2, 1]", "a cell")
    expect(page.evaluate("document.documentElement.dataset.theme") == "dark", "the theme")
    expect(page.locator("[data-focus='head:1'][aria-pressed=true]").count() == 1, "the head")
    for address in (
        "#n=999999&d=b",
        "#s=X9&h=99&l=99&c=99,99",
        "#p=999",
        "#s=B5&c=a,b",
        "#q=-1&s=F2",
        "#%%%",
    ):
        expect(link.go(address).locator("main h2, main h3").count() > 0, f"nonsense does no harm: {address}")
    settings.close()


def themes(chromium):
    for scheme in ("light", "dark"):
        with opened(chromium, color_scheme=scheme) as page:
            expect(
                page.evaluate("document.documentElement.dataset.theme") == scheme,
                f"follows the system: {scheme}",
            )
            page.keyboard.press("t")
            chosen = page.evaluate("document.documentElement.dataset.theme")
            page.reload()
            page.wait_for_selector("html[data-ready]", state="attached")
            expect(
                page.evaluate("document.documentElement.dataset.theme") == chosen,
                "the address keeps the theme",
            )


def sentences(chromium):
    """The live region says one sentence a step."""
    with opened(chromium, "#lang=en") as page:
        page.keyboard.press("Home")
        page.evaluate("""() => { window.said = 0; new MutationObserver((l) => { window.said += l.length; })
          .observe(document.querySelector('p.status'),
                   {childList: true, characterData: true, subtree: true}); }""")
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(50)
        expect(page.evaluate("window.said") == 6, f"6 steps, {page.evaluate('window.said')} sentences")
        page.keyboard.press("End")
        said = page.inner_text("p.status")
        expect(
            re.match(
                rf"Step {TOTAL} of {TOTAL}, backward: .+, largest \|gradient\| \S+ at row \d+, column \d+\.$",
                said,
            )
            is not None,
            f"the sentence: {said}",
        )


def tree_of_roles(chromium):
    """The accessibility tree at six steps: landmarks, headings, the matrix with its headers."""
    settings = context(chromium)
    link = Opened(settings)
    lab = DATA["labs"][0]
    for address, heading in (
        ("#n=0&d=f", "forward: "),
        (f"#n={DATA['loss']}&d=b", "backward: "),
        ("#s=F4&h=0&l=0", "F4 — Weights"),
        ("#s=B3&h=0&l=0", "B3 — Gradient of the weights"),
        ("#s=B5&h=0&l=0", "B5 — Through the softmax"),
        ("#p=0", "Parameters"),
    ):
        tree = link.go(address + "&lang=en").locator("body").aria_snapshot()
        for line in (
            "- banner",
            '- navigation "tape"',
            "- status",
            "- main",
            'heading "Tape explorer',
            f'heading "{heading}',
        ):
            expect(line in tree, f"{address}: {line}")
        if heading.startswith("B5"):
            for token in lab["columns"]:
                expect(
                    f'- columnheader "{token}"' in tree or f"- columnheader {token}" in tree,
                    f"column {token}",
                )
            expect('- grid "dS"' in tree and "- gridcell" in tree, "dS is a grid")
    settings.close()


def keyboard_reaches_all(chromium):
    with opened(chromium, "#s=B5&h=0&l=0&lang=en") as page:
        seen, unseen = [], []
        for _ in range(600):
            page.keyboard.press("Tab")
            at = page.evaluate("""() => { const e = document.activeElement, s = getComputedStyle(e);
              return [e.tagName, e.dataset.focus || e.id || e.dataset.i || e.textContent.slice(0, 20),
                      s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0]; }""")
            if at[0] == "BODY":
                break
            seen.append(at[1])
            unseen += [] if at[2] else [at[1]]
        else:
            expect(False, "Tab reaches the end of the page")
        expect(unseen == [], f"focus can be seen everywhere, not at {unseen[:5]}")
        controls = page.evaluate("""[...document.querySelectorAll('button[data-focus], select, input')]
          .filter((e) => e.offsetParent).map((e) => e.dataset.focus)""")
        missed = [c for c in controls if c not in seen]
        expect(not missed, f"Tab reaches every control, not {missed[:5]}")


def keyboard_in_a_matrix(chromium):
    """Arrows move by a cell, Enter explains it, Escape goes back to it; letters can be switched off."""
    with opened(chromium, "#s=B5&h=0&l=0&lang=en") as page:
        page.focus("table[data-name=dS] td[tabindex='0']")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        expect(page.evaluate(HERE) == "1,1", f"arrows move by a cell, now at {page.evaluate(HERE)}")
        page.keyboard.press("End")
        expect(
            page.evaluate(HERE) == f"1,{len(DATA['labs'][0]['columns']) - 1}",
            "End goes to the row's last cell",
        )
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.inner_text("main .explanation h3") == "dS[1, 1]", "Enter explains the cell")
        marked = page.evaluate(
            "[...document.querySelectorAll('table[data-name=P] td.marked')].map((c) => c.dataset.i)"
        )
        expect(set(marked) == {"1"}, "and marks row 1 of P")
        page.keyboard.press("Escape")
        expect(page.locator("main .explanation").count() == 0, "Escape closes the explanation")
        expect(page.evaluate(HERE) == "1,1", f"and goes back to the cell, now at {page.evaluate(HERE)}")
        page.evaluate("document.activeElement.blur()")
        for key, heading in (
            ("k", "B4"),
            ("j", "B5"),
            ("ArrowLeft", "B4"),
            ("Home", "F1"),
            ("End", "B9"),
            ("k", "B8"),
        ):
            page.keyboard.press(key)
            expect(page.inner_text("main h2").startswith(heading), f"{key} goes to {heading}")
        page.keyboard.press("h")
        expect(
            page.locator("[data-focus='head:1'][aria-pressed=true]").count() == 1, "h goes to the next head"
        )
        page.keyboard.press("?")
        expect(page.locator("dialog[open]").count() == 1, "? opens the help")
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        expect(page.evaluate("document.activeElement.id") == "search", "/ goes to the search")
        page.keyboard.type("weights")
        expect(
            page.locator("#side button.node").count() == len(DATA["labs"]),
            "the search finds the labs' weights",
        )
        page.keyboard.press("Enter")
        expect(page.inner_text("main h2").endswith("weights"), "Enter goes to the first")
        page.click("[data-focus='letters']")
        page.evaluate("document.activeElement.blur()")
        before = page.text_content("main")
        page.keyboard.press("j")
        expect(page.text_content("main") == before, "letters are off")


def quiz(chromium):
    """Wrong, hints, right, shown; the address holds the question."""
    with opened(chromium, "#s=B5&h=0&l=0&q=5&i=0&lang=en") as page:
        question = page.inner_text(".question")
        name, i, j = re.match(r"(\w+)\[(\d+), (\d+)\]", question).groups()
        expect(
            page.inner_text(f"table[data-name={name}] td[data-i='{i}'][data-j='{j}']") == "?",
            "the number is hidden",
        )
        page.fill("#answer", "123456")
        page.click("form button[type=submit]")
        expect("Not yet" in page.inner_text(".result"), "a wrong answer")
        page.click("[data-focus=hint]")
        expect(page.locator("main .formula math").count() > 0, "hint 1 is the formula")
        page.click("[data-focus=hint]")
        expect(page.locator("main table.explain").count() == 1, "hint 2 has the numbers")
        page.click("[data-focus=reveal]")
        cell = page.locator(f"table[data-name={name}] td[data-i='{i}'][data-j='{j}']")
        value = float(cell.get_attribute("data-value"))
        page.reload()
        expect(page.inner_text(".question") == question, "the address keeps the question")
        for answer, right in ((value * 1.009, True), (value * 1.02, False), (-value, False), ("", False)):
            page.fill("#answer", str(answer))
            page.click("form button[type=submit]")
            expect(("Right" in page.inner_text(".result")) == right, f"{answer} for {value}: {right}")


def at_most_25_rows(chromium):
    """The folded tape, at every step."""
    with opened(chromium, "#lang=en") as page:
        page.keyboard.press("Home")
        most = 0
        for _ in range(TOTAL - 1):
            most = max(most, page.locator("#side li").count())
            page.keyboard.press("ArrowRight")
        print(f"at most {most} rows")
        expect(most <= 25, f"{most} rows")


support.run(
    there_and_back,
    links,
    themes,
    sentences,
    tree_of_roles,
    keyboard_reaches_all,
    keyboard_in_a_matrix,
    quiz,
    at_most_25_rows,
)
