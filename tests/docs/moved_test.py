"""moved_test.py ROOT COMPILER FLAGS...: docs/moved.py brings older programs to present headers and names."""
import pathlib
import re
import subprocess
import sys
import tempfile

root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
sys.path.insert(0, str(root / "docs"))
import moved

headers, names = moved.tables((root / "docs/moved.md").read_text(encoding="utf-8"))
good = True


def verdict(title, problem):
    global good
    print(f"FAIL: {title}: {problem}" if problem else f"PASS: {title}")
    good = good and not problem


def compiles(text):
    command = [*compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True).stderr


verdict("every new header exists", [new for _, new in headers if not (root / new).is_file()])
verdict("no old header exists", [old for old, _ in headers if (root / old).is_file()])
headers_text = "\n".join(path.read_text(encoding="utf-8") for room in ("autograd", "nn", "optim")
                         for path in (root / room).rglob("*.h"))
words = set(re.findall(r"\w+", headers_text))
verdict("every new name is in a header",
        [new for _, new in names if re.findall(r"\w+", new)[-1] not in words])
member, name = [(".workers()", ".threads()")], [("tapegrad::Adam", "tapegrad::optim::Adam")]
verdict("a member is replaced as a call",
        moved.convert("g.workers(); workers();", [], member) != "g.threads(); workers();")
verdict("a longer name stays", moved.convert("tapegrad::AdamW", [], name) != "tapegrad::AdamW")
for path in sorted((root / "tests/docs/moved").glob("*.cpp")):
    old = path.read_text(encoding="utf-8")
    verdict(f"{path.name} does not compile before", "" if compiles(old) else "it compiles as it is")
    new = moved.convert(old, headers, names)
    verdict(f"{path.name} compiles when it is converted", compiles(new)[:2000])
    verdict(f"{path.name} is converted once", moved.convert(new, headers, names) != new)
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy.cpp"
        copy.write_text(old, encoding="utf-8")
        script = [sys.executable, root / "docs/moved.py"]
        check = subprocess.run([*script, "--check", copy], capture_output=True).returncode
        subprocess.run([*script, copy], check=True, capture_output=True)
        verdict(f"{path.name} as the script rewrites it",
                check != 1 or copy.read_text(encoding="utf-8") != new)
sys.exit(not good)
