#!/usr/bin/env python3
"""self_test.py FOLDER: every page in it tests itself (#selftest) in the system's Chromium."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

chromium = os.environ.get("TAPEGRAD_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def result_of(page):
    with tempfile.TemporaryDirectory() as profile:
        shown = subprocess.run(
            [
                chromium,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={profile}",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--virtual-time-budget=60000",
                "--dump-dom",
                f"{page.resolve().as_uri()}#selftest",
            ],
            capture_output=True,
            text=True,
            timeout=600,
        )
    found = re.search(r'<pre id="selftest">(.*?)</pre>', shown.stdout, re.S)
    return found.group(1) if found else f"no result; {shown.stderr[-500:]}"


def main(folder):
    pages = sorted(pathlib.Path(folder).glob("*.html"))
    if not chromium:
        print("SKIP: the pages' own tests need Chromium")
        return 0
    failed = not pages
    for page in pages:
        result = result_of(page)
        passed = re.fullmatch(r"PASS (\d+)/\1", result) is not None
        failed = failed or not passed
        print(f"{'PASS' if passed else 'FAIL'}: {page.name}: {result[:2000]}", flush=True)
    return failed


sys.exit(main(sys.argv[1]))
