"""check_docs.py ROOT: no code block goes unchecked, and README shows examples/2_xor.cpp as it is.

A ```cpp block is a program (`// file: NAME.cpp`) or an excerpt (`// part of: PATH`), whose lines must stand
in PATH without a gap, indentation aside. A ```python block is a file (`# file: NAME.py`) that a test runs.
What is only a sketch is fenced as ```text.
"""
import pathlib
import sys

from blocks import blocks, cpp_blocks, mark, pages


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


def main(root):
    checks = {str(page.relative_to(root)): list(page_problems(root, page)) for page in pages(root / "docs")}
    if (root / "README.md").exists():
        checks["README.md"] = list(readme_problems(root))
    for name, problems in checks.items():
        print("\n".join(f"FAIL: {problem}" for problem in problems) or f"PASS: {name}")
    sys.exit(any(checks.values()))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
