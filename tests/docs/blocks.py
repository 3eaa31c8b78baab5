"""The fenced code blocks of the documentation."""
import pathlib
import re

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.M | re.S)


def pages(docs):
    return sorted(pathlib.Path(docs).rglob("*.md"))


def blocks(page, language):
    """(line number, text) of every block fenced as ```language."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match[1] == language:
            yield text.count("\n", 0, match.start()) + 1, match[2]


def cpp_blocks(page):
    return blocks(page, "cpp")


def mark(block, word):
    """The value of a leading `// word: value` (in Python `# word: value`) line, or None."""
    match = re.match(rf"(?://|#)\s*{word}:\s*(\S+)[ \t]*\n", block)
    return match[1] if match else None
