#!/usr/bin/env python3
"""Accessible to all readers: axe on every screen, contrast, narrow and enlarged windows, both languages."""

import support
from support import SCREENS, Opened, context, expect, opened

LUMINANCE = """(c) => { const [r, g, b] = c.match(/[0-9.]+/g).map((x) => { x /= 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; }"""


def axe(chromium):
    from axe_playwright_python.sync_playwright import Axe

    check = Axe()
    for scheme, forced in (("light", "none"), ("dark", "none"), ("light", "active"), ("dark", "active")):
        settings = context(chromium, color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")
        for address in SCREENS:
            page = Opened(settings, address=address).page
            found = check.run(page).response["violations"]
            expect(
                not found,
                f"{scheme}, forced colours {forced}, {address}: "
                f"{[(v['id'], len(v['nodes']), v['nodes'][0]['html'][:80]) for v in found]}",
            )
            page.close()
        settings.close()


def contrast(chromium):
    """Every number against the colour behind it, at least 4.5 : 1."""
    for scheme in ("light", "dark"):
        settings = context(chromium, color_scheme=scheme)
        for address in SCREENS:
            page = Opened(settings, address=address).page
            worst = page.evaluate(
                f"""() => {{ const lum = {LUMINANCE}; let worst = 99;
              for (const c of document.querySelectorAll('td[data-i][style], .whatif td[style]')) {{
                const s = getComputedStyle(c), a = lum(s.color), b = lum(s.backgroundColor);
                worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)); }}
              return worst; }}"""
            )
            expect(worst >= 4.5, f"{worst:.1f} in {scheme} at {address}")
            page.close()
        settings.close()


def narrow(chromium):
    """320 px, which is 1280 px at 400 %, and 640 px: no scrolling sideways; targets of 24 px."""
    for width in (320, 640):
        settings = context(chromium, viewport={"width": width, "height": 700})
        for address in SCREENS:
            page = Opened(settings, address=address).page
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            expect(over <= 0, f"{over} px too wide at {width} px, {address}")
            small = page.evaluate(
                """[...document.querySelectorAll('button, select, input')].filter((e) => e.offsetParent
              && !e.closest('label')
              && Math.min(e.getBoundingClientRect().height, e.getBoundingClientRect().width) < 24)
              .map((e) => e.textContent)"""
            )
            expect(small == [], f"targets of at least 24 px, not {small[:3]}")
            page.close()
        settings.close()


def not_by_colour_alone(chromium):
    """Signs and masks are seen without colours: a minus sign, hatching, a title."""
    with opened(chromium, "#s=B5&h=0&l=1&lang=en", forced_colors="active") as page:
        wrong = page.evaluate("""[...document.querySelectorAll('td[data-value]')].filter((c) =>
          Number(c.dataset.value) < 0 && !c.textContent.startsWith('−')).length""")
        expect(wrong == 0, "negative numbers have a sign")
        masked = page.evaluate("""[...document.querySelectorAll('td.masked')].map((c) => [c.title,
          getComputedStyle(c).backgroundImage])""")
        expect(masked and all("masked" in title for title, _ in masked), "masked cells say so")


def languages(chromium):
    """Chinese where the browser is, English at a click; no text is missing in either."""
    with opened(chromium, locale="zh-CN") as page:
        expect(page.evaluate("document.documentElement.lang") == "zh-Hans", "the page's language")
        expect("计算带" in page.inner_text("h1"), "the title is Chinese")
        page.click("[data-focus='language']")
        expect("Tape explorer" in page.inner_text("h1"), "and English at a click")
    settings = context(chromium)
    for address in SCREENS:
        texts = {}
        for language in ("en", "zh"):
            page = Opened(settings, address=f"{address}&lang={language}").page
            texts[language] = page.inner_text("body")
            titles = page.evaluate(
                "[...document.querySelectorAll('[title], [aria-label]')]"
                ".map((e) => e.title + e.ariaLabel).join()"
            )
            expect("undefined" not in texts[language] + titles, f"undefined at {address} in {language}")
            expect("{}" not in texts[language] + titles, f"an empty place at {address} in {language}")
            page.close()
        for heading in ("Attention lab", "Parameters", "single-letter keys", "Search", "Theme", "min "):
            expect(heading not in texts["zh"], f"{heading!r} is not translated at {address}")
    settings.close()


def printed(chromium):
    with opened(chromium, "#s=B5&h=0&l=0&lang=en") as page:
        page.emulate_media(media="print")
        expect(
            not page.locator("#side").is_visible() and page.locator("main").is_visible(),
            "paper shows the step alone",
        )


support.run(axe, contrast, narrow, not_by_colour_alone, languages, printed)
