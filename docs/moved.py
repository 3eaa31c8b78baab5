"""moved.py [--check] FILE...: brings programs to the present headers and names, by the tables of moved.md.

A row is `| old | new |`, both in backquotes. Under `## Headers` they are paths after <tapegrad/, under
`## Names` names: `tapegrad::X` in full, `.member()` as a call of a member, anything else as a whole word.
"""
import argparse
import pathlib
import re
import sys

TABLES = pathlib.Path(__file__).resolve().parent / "moved.md"
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|$", re.M)
USING = re.compile(r"^([ \t]*)using namespace tapegrad;[ \t]*\n", re.M)
PASSED_OVER = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)  # comments and strings


def tables(text):
    """(old, new) of headers, and of names."""
    parts = re.split(r"^## ", text, flags=re.M)
    found = {part.split("\n", 1)[0]: ROW.findall(part) for part in parts}
    return found["Headers"], found["Names"]


def pattern(old):
    """Where a name stands in a program: after no namespace but, where the row has none, `tapegrad::`."""
    if old.startswith("."):
        return re.compile(r"(?:(?<=\.)|(?<=->))" + re.escape(old[1:]))
    before = r"(?<![\w:])" if old.startswith("tapegrad::") else r"(?:(?<![\w:])|(?<=tapegrad::))"
    return re.compile(before + re.escape(old) + r"\b")


def uses(text, name):
    """Whether a program writes `name` in its code without a namespace in front."""
    return re.search(rf"(?<![\w:.>]){name}\b", PASSED_OVER.sub("", text)) is not None


def convert(text, headers, names):
    for old, new in headers:
        text = text.replace(f"<tapegrad/{old}>", f"<tapegrad/{new}>")
    wanted = set()
    for old, new in names:
        if old.startswith("tapegrad::") and uses(text, old.removeprefix("tapegrad::")):
            wanted.add(new.rsplit("::", 1)[0])
        text = pattern(old).sub(new.lstrip("."), text)
    missing = [room for room in sorted(wanted) if f"using namespace {room};" not in text]
    lines = "".join(rf"\1using namespace {room};\n" for room in missing)
    return USING.sub(r"\g<0>" + lines, text, count=1)


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where something is old")
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    given = parser.parse_args()
    headers, names = tables(TABLES.read_text(encoding="utf-8"))
    changed = False
    for path in given.files:
        before = path.read_text(encoding="utf-8")
        after = convert(before, headers, names)
        if after == before:
            continue
        changed = True
        lines = zip(before.split("\n"), after.split("\n"))
        count = sum(old != new for old, new in lines) if before.count("\n") == after.count("\n") else "some"
        print(f"{path}: {count} lines {'to change' if given.check else 'changed'}")
        if not given.check:
            path.write_text(after, encoding="utf-8")
    sys.exit(given.check and changed)


if __name__ == "__main__":
    main()
