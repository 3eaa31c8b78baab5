"""Support for the browser tests: one Chromium, pages opened without a network, the recording behind a page.

Each test script is `NAME.py FOLDER`; FOLDER holds the output of make_pages.py: explorer.html,
explorer.json, explorer.txt and broken-RULE.html. They need requirements.txt and the system's Chromium, and
say SKIP without them.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import struct
import sys
import traceback

CHROMIUM = os.environ.get("TAPEGRAD_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FOLDER = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else pathlib.Path()
PAGE = FOLDER / "explorer.html"
STEPS = ["F1", "F2", "F3", "F4", "F5", "F6", "B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9"]
SCREENS = [
    "#n=0&d=f",
    "#n=LAST&d=b",
    "#s=F4&h=0&l=0",
    "#s=B5&h=0&l=1&c=1,0&a=dS",
    "#s=B8&h=0&l=0",
    "#p=0",
    "#w=1",
    "#s=B5&h=0&l=0&q=1&i=2",
]

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

_failed = []


def expect(holds, what):
    """A failed check is printed at once and does not end the test."""
    if not holds:
        _failed.append(what)
        print(f"failed: {what}", flush=True)


def run(*tests):
    """Runs every test with a browser; a test is a function of it. Ends the process."""
    name = pathlib.Path(sys.argv[0]).stem
    if sync_playwright is None or CHROMIUM is None:
        print(
            f"SKIP: {name} needs {'Chromium' if sync_playwright else 'tests/browser/requirements.txt'}"
        )
        return
    bad = 0
    with browser() as chromium:
        for test in tests:
            _failed.clear()
            try:
                test(chromium)
            except Exception:  # a page that does not come up fails its own test only
                traceback.print_exc(file=sys.stdout)
                _failed.append("exception")
            bad += bool(_failed)
            print(f"{'FAIL' if _failed else 'PASS'}: {name}, {test.__name__.replace('_', ' ')}", flush=True)
    sys.exit(bad > 0)


def recording(page_file=None):
    """The JSON that a page carries."""
    text = (page_file or PAGE).read_text(encoding="utf-8")
    return json.loads(embedded(text))


def embedded(text):
    return re.search(r'<script type="application/json" id="tape">(.*?)</script>', text, re.S).group(1)


def altered(text, change):
    """The page with its recording changed by `change(data)`, and without the fingerprint that would tell."""
    data = json.loads(embedded(text))
    data.pop("fingerprint", None)
    data["meta"].pop("fingerprint", None)
    change(data)
    return text.replace(embedded(text), json.dumps(data).replace("<", "\\u003c"))


def numbers(data, place):
    """The doubles that `place` = [offset, length] names."""
    offset, length = place[:2]
    if "decoded" not in data:
        data["decoded"] = base64.b64decode(data["blob"])
    return struct.unpack(f"<{length}d", data["decoded"][8 * offset : 8 * (offset + length)])


class Opened:
    """A page with its requests and messages."""

    def __init__(self, context, file=None, address=""):
        self.page = context.new_page()
        self.messages, self.requests = [], []
        self.page.on("console", lambda m: self.messages.append(m.text))
        self.page.on("pageerror", lambda e: self.messages.append(f"error: {e}"))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.file = file or PAGE
        self.go(address)

    def go(self, address):
        if "LAST" in address:
            address = address.replace("LAST", str(recording(self.file)["order"][-1]))
        self.page.goto("about:blank")
        self.requests.clear()
        self.page.goto(f"file://{self.file}{address}")
        self.page.wait_for_selector("html[data-ready], #selftest", state="attached")
        return self.page


@contextlib.contextmanager
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextlib.contextmanager
def opened(chromium, address="", file=None, **options):
    settings = context(chromium, **options)
    try:
        yield Opened(settings, file, address).page
    finally:
        settings.close()


def context(chromium, **options):
    """`offline`: a page that wants anything from anywhere shows it. On a busy machine pages take long."""
    settings = chromium.new_context(
        **{"viewport": {"width": 1280, "height": 900}, "offline": True, "locale": "en-GB", **options}
    )
    settings.set_default_timeout(600_000)
    return settings


def shown_cells(page, name):
    """(row, column, number, text) of the table `name`; `number` has all digits, `text` is printed."""
    cells = page.evaluate(
        """name => {
      const table = [...document.querySelectorAll('table.matrix')].find((t) => t.dataset.name === name);
      return table ? [...table.querySelectorAll('td[data-value]')].map((c) => [+c.dataset.i, +c.dataset.j,
        c.dataset.value, c.textContent]) : null;
    }""",
        name,
    )
    return cells and [(i, j, float(value), text) for i, j, value, text in cells]
