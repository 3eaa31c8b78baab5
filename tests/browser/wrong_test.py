#!/usr/bin/env python3
"""The page shows faults: a NaN, hostile tokens, broken rules, changed numbers."""

import base64
import pathlib
import random
import re
import struct
import tempfile
from decimal import Decimal

import support
from support import FOLDER, PAGE, Opened, altered, context, expect, opened, recording

DATA = recording()
TEXT = PAGE.read_text(encoding="utf-8")
HOSTILE = [
    "</script><img src=x onerror=window.pwn=1>",
    "<!--<script>",
    "\"'><svg onload=window.pwn=2>",
    "&lt;b&gt;",
    "\u202eabc",
    "{{title}}",
    "constructor",
    "]]>",
    "${window.pwn=3}",
    "javascript:window.pwn=4",
    "\u0000\u0007",
    "　",
]


def written(folder, name, text):
    file = pathlib.Path(folder) / name
    file.write_text(text, encoding="utf-8")
    return file


def not_finite(chromium):
    """A page with NaN and infinities opens at the first of them and prints them."""
    target = next(n for n in DATA["nodes"] if n["op"] == "relu")

    def change(data):
        blob = bytearray(base64.b64decode(data["blob"]))
        for i, x in enumerate((float("nan"), float("inf"), float("-inf"))):
            struct.pack_into("<d", blob, 8 * (target["val"][0] + i), x)
        data["blob"] = base64.b64encode(blob).decode()
        for node in data["nodes"]:
            if node["id"] == target["id"]:
                node["nonfinite"] = "value"

    with tempfile.TemporaryDirectory() as folder:
        with opened(chromium, "#lang=en", written(folder, "nan.html", altered(TEXT, change))) as page:
            shown = page.evaluate(
                "[...document.querySelectorAll('main table.matrix tbody tr:first-child td')].slice(0, 3)"
                ".map((c) => c.textContent)"
            )
            expect(shown == ["NaN", "+inf", "−inf"], f"printed {shown}")
            expect(
                "relu" in page.inner_text("main h2"), "the page opens at the first value that is not finite"
            )
            expect("not finite" in page.inner_text(".banner"), "and says so")
            blank = page.evaluate(
                "[...document.querySelectorAll('td[data-i]')].filter((c) => c.textContent === '').length"
            )
            expect(blank == 0, "no cell is blank")
            page.keyboard.press("Home")
            page.click("[data-focus=banner]")
            expect("relu" in page.inner_text("main h2"), "the banner leads there")


def hostile_tokens(chromium):
    """Tokens are text, whatever they look like."""

    def change(data):
        count = len(HOSTILE)
        data["tokens"]["source"] = [HOSTILE[i % count] for i in range(len(data["tokens"]["source"]))]
        data["meta"]["title"] = HOSTILE[0]
        data["meta"]["notices"] = HOSTILE[:3]
        for k, lab in enumerate(data["labs"]):
            for which in ("rows", "columns"):
                lab[which] = [HOSTILE[(k * 5 + i) % count] for i in range(len(lab[which]))]

    with tempfile.TemporaryDirectory() as folder:
        file = written(folder, "hostile.html", altered(TEXT, change))
        settings = context(chromium)
        link = Opened(settings, file)
        for lab in range(len(DATA["labs"])):
            page = link.go(f"#s=B5&h=0&l={lab}&c=1,1&a=dS&lang=en")
            names = page.evaluate(
                "[...document.querySelectorAll('table.matrix th')].map((e) => e.textContent)"
            )
            for token in recording(file)["labs"][lab]["rows"]:
                expect(token in names, f"{token!r} is shown as it is")
            expect(page.evaluate("window.pwn") is None, "no script ran")
            expect(page.locator("main img, main svg, header img").count() == 0, "no token became an element")
        expect(link.messages == [], f"messages {link.messages[:2]}")
        settings.close()


def broken_rules(chromium):
    """Each page with a broken rule opens at one red node; nodes that the pass reached earlier are green."""
    pages = sorted(FOLDER.glob("broken-*.html"))
    expect(len(pages) >= 8, f"{len(pages)} pages")
    for file in pages:
        data, rule = recording(file), file.stem.removeprefix("broken-")
        nodes, order = {n["id"]: n for n in data["nodes"]}, {id: at for at, id in enumerate(data["order"])}
        expect(data["meta"]["broken"] == rule, f"{rule}: the page says {data['meta']['broken']}")
        senders = {}
        for id in data["order"]:
            for edge in nodes[id]["edges"]:
                senders.setdefault(edge["to"], []).append(id)
        done = {id: order[sent[-1]] for id, sent in senders.items()}
        red = {n["id"] for n in data["nodes"] if n["num_err"] and n["num_err"]["rel"] > 1e-6}
        expect(red, f"{rule}: something is red")
        first = min((done.get(id, -1) for id in red), default=-1)
        firsts = {id for id in red if done.get(id, -1) == first}
        with opened(chromium, "#lang=en", file) as page:
            expect("broken on purpose" in page.inner_text(".banner >> nth=0"), f"{rule}: the banner")
            expect(page.locator("main .chip.bad").count() >= 1, f"{rule}: opens at a red check")
            sender = nodes[data["order"][first]]
            line = page.inner_text(".banner.bad")
            expect(sender["src"] in line, f"{rule}: names the rule at {sender['src']}: {line}")
            print(f"{rule}: {line}")
        green = [
            n
            for n in data["nodes"]
            if n["num_err"] and done.get(n["id"], -1) < first and n["num_err"]["rel"] > 1e-6
        ]
        expect(
            not green and len(firsts) <= len(nodes[data["order"][first]]["edges"]), f"{rule}: first {firsts}"
        )
    whole = [n["id"] for n in DATA["nodes"] if n["num_err"] and n["num_err"]["rel"] > 1e-6]
    expect(
        not whole and sum(1 for n in DATA["nodes"] if n["num_err"]) > 50,
        f"unbroken: all green, not {whole[:5]}",
    )


def self_test(chromium):
    settings = context(chromium)
    for file in [PAGE, FOLDER / "nan.html", *sorted(FOLDER.glob("broken-*.html"))]:
        page = Opened(settings, file, "#selftest").page
        result = page.text_content("#selftest")
        expect(re.match(r"PASS (\d+)/\1$", result) is not None, f"{file.name}: {result[:300]}")
        page.close()
    settings.close()


NUMBER = re.compile(r"(?<=[:,\[])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?=[,\]}])")
PRINTED = re.compile(r"(?<=<td>)-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?=</td>)")


def one_more(text):
    """The number with one more in its last digit."""
    digits, _, exponent = text.partition("e")
    changed = Decimal(digits) + Decimal(1).scaleb(Decimal(digits).as_tuple().exponent)
    return f"{changed}e{exponent}" if exponent else str(changed)


def all_numbers():
    """(what, the page with this number changed) of every number of the page: of the JSON, of the arrays that
    it carries, and of the tables for readers without JavaScript."""
    body = support.embedded(TEXT)
    start, tables = TEXT.index(body), re.search(r"<noscript>.*?</noscript>", TEXT, re.S)

    def in_text(kind, place, offset):
        def page():
            begin, end = offset + place.start(), offset + place.end()
            return TEXT[:begin] + one_more(place.group()) + TEXT[end:]

        return f"{kind}, character {place.start()}: {place.group()}", page

    def in_array(key, form, at):
        def page():
            raw = bytearray(base64.b64decode(DATA[key]))
            value = struct.unpack_from(form, raw, at)[0]
            struct.pack_into(form, raw, at, value * (1 + (1e-9 if key == "blob" else 1e-6)) + 1e-12)
            return TEXT.replace(DATA[key], base64.b64encode(raw).decode())

        return f"{key}, byte {at}", page

    kinds = [
        [in_text("JSON", m, start) for m in NUMBER.finditer(body)],
        [in_text("table", m, tables.start()) for m in PRINTED.finditer(tables.group())],
    ]
    for key, form in (("blob", "<d"), ("blob32", "<f")):
        size = struct.calcsize(form)
        count = len(base64.b64decode(DATA[key])) // size
        kinds.append([in_array(key, form, size * at) for at in range(count)])
    return [kind for kind in kinds if kind]


def altered_numbers(chromium, count=50):
    """The page's own test fails when any one number is changed in its last digit."""
    draw, missed, kinds = random.Random(7), [], all_numbers()
    print("numbers: " + ", ".join(f"{len(kind)} like ({kind[0][0]})" for kind in kinds))
    drawn = [draw.choice(kinds[trial % len(kinds)]) for trial in range(count)]
    settings = context(chromium)
    with tempfile.TemporaryDirectory() as folder:
        for trial, (what, changed) in enumerate(drawn):
            file = written(folder, f"{trial}.html", changed())
            page = settings.new_page()
            page.goto(f"file://{file}#selftest")
            try:
                page.wait_for_selector("#selftest")
                if not page.text_content("#selftest").startswith("FAIL"):
                    missed.append(what)
            except Exception as problem:  # a page that does not even start fails too, but it must say so
                missed.append(f"{what}: {str(problem)[:80]}")
            page.close()
            file.unlink()
    settings.close()
    expect(missed == [], f"{len(missed)} of {count} went unnoticed: {missed[:5]}")


def changed_number(data, at, by=1e-3):
    blob = bytearray(base64.b64decode(data["blob"]))
    struct.pack_into("<d", blob, 8 * at, struct.unpack_from("<d", blob, 8 * at)[0] * 1.01 + by)
    data["blob"] = base64.b64encode(blob).decode()


def noticed_without_fingerprint(chromium):
    """The self-test does not lean on the fingerprint: it computes the numbers again."""
    draw, changes = random.Random(3), {}
    for trial in range(6):
        lab = DATA["labs"][trial % len(DATA["labs"])]
        name = ("query", "scores", "weights", "context", "value", "output")[trial]
        node = DATA["nodes"][lab["nodes"][name]]
        at = node["grad" if trial in (1, 4) else "val"][0] + draw.randrange(node["val"][1])
        changes[f"{node['label']}: number {at}"] = lambda data, at=at: changed_number(data, at)

    def scaled(*path):
        def change(data):
            *outer, last = path
            for key in outer:
                data = data[key]
            data[last] = data[last] * 1.01 + 1e-9

        changes["/".join(map(str, path))] = change

    checked = draw.choice([n["id"] for n in DATA["nodes"] if n["num_err"] and n["num_err"]["abs"]])
    source = next(k for k, w in enumerate(DATA["what_ifs"]) if "source" in w["title"])
    for path in (
        ("meta", "loss"),
        ("nodes", checked, "num_err", "abs"),
        ("nodes", checked, "num_err", "rel"),
        *(("what_ifs", k, key) for k in (0, source) for key in ("loss", "change", "predicted")),
    ):
        scaled(*path)
    parameter = draw.choice([p for p in DATA["parameters"] if p["update"] and len(p["update"]) == 2])
    at = parameter["update"][0]
    changes[f"update of {parameter['name']}"] = lambda data: changed_number(data, at, 1e-6)
    missed, settings = [], context(chromium)
    with tempfile.TemporaryDirectory() as folder:
        for trial, (what, change) in enumerate(changes.items()):
            page = Opened(settings, written(folder, f"{trial}.html", altered(TEXT, change)), "#selftest").page
            if not page.text_content("#selftest").startswith("FAIL"):
                missed.append(what)
            page.close()
    settings.close()
    expect(missed == [], f"went unnoticed: {missed}")


support.run(not_finite, hostile_tokens, broken_rules, self_test, altered_numbers, noticed_without_fingerprint)
