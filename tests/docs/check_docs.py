"""check_docs.py ROOT: no code block goes unchecked, README shows examples/2_xor.cpp as it is, every link
leads somewhere (a file of the tree, a heading of a page), and every picture under docs is shown and small.

A ```cpp block is a program (`// file: NAME.cpp`) or an excerpt (`// part of: PATH`), whose lines must stand
in PATH without a gap, indentation aside. A ```python block is a file (`# file: NAME.py`) that a test runs.
A sketch is fenced as ```text.
"""
import pathlib
import re
import sys

from blocks import FENCE, blocks, cpp_blocks, mark, pages

ROOMS = ("autograd", "nn", "optim", "examples", "tests", "docs")
SHOWN = re.compile(r"!\[[^\]]*\]\(([^)\s]+)")
LINKS = (re.compile(r"\]\(([^)\s]+)"), re.compile(r"^\[[^\]]+\]: *(\S+)", re.M),
         re.compile(r'\b(?:src|href)="([^"]+)"'))
LARGEST = {".png": 100_000, ".jpg": 100_000, ".svg": 100_000, ".gif": 300_000, ".webp": 300_000}  # bytes


def lines(text):
    return [line.strip() for line in text.strip().split("\n")]


def excerpt_problem(root, block):
    path = root / mark(block, "part of")
    if not path.is_file():
        return f"no such file: {path.relative_to(root)}"
    part, whole = lines(block)[1:], lines(path.read_text(encoding="utf-8"))
    if not any(whole[i:i + len(part)] == part for i in range(len(whole))):
        return f"differs from {path.relative_to(root)}"
    return None


def scripts(root):
    return [path.read_text(encoding="utf-8") for path in sorted((root / "tests/docs").glob("*.py"))]


def page_problems(root, page):
    for line, block in cpp_blocks(page):
        if mark(block, "file"):
            continue
        marked = mark(block, "part of")
        problem = excerpt_problem(root, block) if marked else "neither `// file:` nor `// part of:`"
        if problem:
            yield f"{page.relative_to(root)}:{line}: {problem}"
    for line, block in blocks(page, "python"):
        name = mark(block, "file")
        if name is None or not any(name in text for text in scripts(root)):
            yield f"{page.relative_to(root)}:{line}: no `# file:`, or no script in tests/docs runs it"


def readme_problems(root):
    program = (root / "examples/2_xor.cpp").read_text(encoding="utf-8").strip()
    if not any(block.strip() == program for _, block in cpp_blocks(root / "README.md")):
        yield "README.md: no ```cpp block equals examples/2_xor.cpp"
    for line, block in cpp_blocks(root / "README.md"):
        if block.strip() == program:
            continue
        problem = excerpt_problem(root, block) if mark(block, "part of") else "no `// part of:`"
        if problem:
            yield f"README.md:{line}: {problem}"


def texts(root):
    """Every text of the tree, without its code."""
    found = [*root.glob("*.md"), *(page for room in ROOMS for page in pages(root / room))]
    return {page: re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8"))) for page in found}


def anchors(page):
    """The addresses of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.*?)\s*$", text, re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def link_problems(root):
    for page, text in texts(root).items():
        for target in (target for link in LINKS for target in link.findall(text)):
            if re.match(r"[a-z]+:", target):
                continue  # another site
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            if not file.exists():
                yield f"{page.relative_to(root)}: the link {target} leads nowhere"
            elif anchor and not (file.suffix == ".md" and anchor in anchors(file)):
                yield f"{page.relative_to(root)}: the link {target} names no heading of {file.name}"


def picture_problems(root):
    shown = {(page.parent / name).resolve()
             for page, text in texts(root).items() for name in SHOWN.findall(text)}
    for file in sorted((root / "docs").rglob("*")):
        most = LARGEST.get(file.suffix)
        if most is None:
            continue
        if file.resolve() not in shown:
            yield f"{file.relative_to(root)}: no text shows this picture"
        if file.stat().st_size > most:
            yield f"{file.relative_to(root)} has {file.stat().st_size} bytes, more than {most}"


def main(root):
    checks = {str(page.relative_to(root)): list(page_problems(root, page)) for page in pages(root / "docs")}
    if (root / "README.md").exists():
        checks["README.md"] = list(readme_problems(root))
    checks["links"] = list(link_problems(root))
    checks["pictures"] = list(picture_problems(root))
    for name, problems in checks.items():
        print("\n".join(f"FAIL: {problem}" for problem in problems) or f"PASS: {name}")
    sys.exit(any(checks.values()))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
