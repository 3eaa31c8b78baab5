"""extract.py DOCS OUT: writes the marked blocks of DOCS into OUT and prints the names of the C++ programs.

A ```cpp block is marked by its first line, `// file: NAME.cpp` (a program) or `// file: NAME.h` (included by
one), a ```python block by `# file: NAME.py`. A page in a subfolder puts the folder in front of a program:
`zh_NAME.cpp`. A file is touched only when its text changed.
"""
import pathlib
import sys

from blocks import blocks, mark, pages


def main(docs, out):
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for page in pages(docs):
        prefix = "".join(part + "_" for part in page.parent.relative_to(docs).parts)
        for line, block in [*blocks(page, "cpp"), *blocks(page, "python")]:
            name = mark(block, "file")
            if name is None:
                continue
            name = name if name.endswith((".h", ".py")) else prefix + name
            text = block.rstrip() + "\n"
            if files.setdefault(name, text) != text:
                sys.exit(f"{page}:{line}: {name} stands in the documentation twice, with different text")
    for old in out.glob("*.*"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        path = out / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    print(";".join(sorted(name[:-4] for name in files if name.endswith(".cpp"))))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
