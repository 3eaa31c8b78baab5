"""check_tree.py ROOT: the rules that the source tree keeps: sizes, layers, and an op's files."""
import pathlib
import posixpath
import re
import statistics
import sys

ROOMS = ("autograd", "nn", "optim", "examples", "tests", "docs", "cmake")
ENDINGS = (".h", ".cpp", ".py", ".sh", ".cmake")

# Which room may include which, from the ground up: a room includes itself and the rooms of lower floors. A
# room is the files whose paths begin with one of its names, the longest name counting.
FLOORS = (
    {"base": ("autograd/base/",)},
    {"memory": ("autograd/memory/",)},
    {"parallel": ("autograd/parallel/",), "kernels": ("autograd/kernels/",)},
    {"tensor": ("autograd/tensor/",)},
    {"values and ops": ("autograd/var.", "autograd/parameter.", "autograd/attributes.", "autograd/op.",
                        "autograd/op_args.")},
    {"observe": ("autograd/observe/",)},
    {"tape": ("autograd/",)},
    {"ops": ("autograd/ops/",)},
    {"backward": ("autograd/backward/",)},
    {"gradcheck": ("autograd/gradcheck/",)},
    {"inspect": ("autograd/inspect/",)},
    {"nn": ("nn/",), "optim": ("optim/",)},
    {"nn/train": ("nn/train/",)},
    {"umbrellas": ("autograd/autograd.h", "autograd/ops.h", "autograd/inspect.h", "nn/nn.h",
                   "optim/optim.h")},
)
X86 = re.compile(r"immintrin|\b_mm\d*_|\b__m(128|256|512)|__AVX|__builtin_ia32")


def hand_written(root):
    files = [path for room in ROOMS for path in (root / room).rglob("*") if path.is_file()]
    files.append(root / "CMakeLists.txt")
    return [path for path in files if path.suffix in ENDINGS or path.name == "CMakeLists.txt"]


def sizes(texts):
    counts = sorted(text.count("\n") for text in texts.values())
    for path, text in texts.items():
        if text.count("\n") > 450:
            yield f"{path} has {text.count(chr(10))} lines, more than 450"
    p95 = counts[min(len(counts) - 1, int(0.95 * len(counts)))]
    if p95 > 350:
        yield f"95th percentile of lines is {p95}, more than 350"
    if statistics.median(counts) > 120:
        yield f"median of lines is {statistics.median(counts)}, more than 120"


def width(texts):
    for path, text in texts.items():
        wide = [number for number, line in enumerate(text.split("\n"), 1) if len(line) > 110]
        if wide:
            yield f"{path}:{wide[0]} is wider than 110 columns, the first of {len(wide)} such lines"


def layers(texts):
    """Includes of the library are relative, name files that exist, and point down (FLOORS)."""
    names = {name: (level, room) for level, rooms in enumerate(FLOORS)
             for room, begins in rooms.items() for name in begins}

    def place(path):
        """(floor, room) of a file of the library, or None."""
        name = max((name for name in names if path.startswith(name)), key=len, default=None)
        return names.get(name)

    for path, text in texts.items():
        here = place(path)
        if here is None or not path.endswith((".h", ".cpp")):
            continue
        for target in re.findall(r"^#include <(tapegrad/[^>]+)>", text, re.M):
            yield f"{path} includes <{target}>; inside the library includes are relative and quoted"
        for target in re.findall(r'#include "([^"]+)"', text):
            found = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if found not in texts:
                yield f"{path} includes {target}, which is no file of the tree"
                continue
            there = place(found) or (len(FLOORS), "no room")
            if there != here and there[0] >= here[0] and here[1] != "umbrellas":
                yield f"{path} includes {found}: {here[1]} must not include {there[1]}"


def portability(texts):
    """x86 stays in the kernels, kernels do without Eigen, and no header sets a macro of Eigen's."""
    for path, text in texts.items():
        kernel = path.startswith("autograd/kernels/")
        pause = path == "autograd/parallel/relax.h"
        if not kernel and not pause and path.endswith((".h", ".cpp")) and X86.search(text):
            yield f"{path} uses x86 intrinsics outside autograd/kernels"
        eigen = re.search(r"#include <(Eigen|unsupported)/", text)
        if kernel and eigen:
            yield f"{path} includes Eigen"
        if path.endswith(".h") and re.search(r"#\s*define EIGEN_", text):
            yield f"{path} defines a macro of Eigen's"
        if path.endswith(".h") and "#pragma once" not in text:
            yield f"{path} lacks #pragma once"


# Types that ops take or print their formulas with, and functions that are written in ops.
NO_OPS = {"mask", "layout", "heads", "symbol", "equation", "backward_equation"}


def ops(texts):
    """An op is a file pair, its samples, a test and one line in the umbrella header."""
    umbrella = texts.get("autograd/ops.h", "")
    for path, text in texts.items():
        match = re.fullmatch(r"autograd/(ops/[\w/]+)\.cpp", path)
        if not match:
            continue
        name = match[1]
        partners = [f"autograd/{name}.h", f"tests/autograd/{name}_test.cpp"]
        if path.rsplit("/", 1)[1][:-4] not in NO_OPS:
            partners.append(f"tests/autograd/{name}_samples.cpp")
            if f'#include "{name}.h"' not in umbrella:
                yield f"autograd/ops.h does not include {name}.h"
        yield from (f"{path} lacks {partner}" for partner in partners if partner not in texts)
        if "gradcheck/" in text:
            yield f"{path} includes gradcheck; samples of an op belong to the tests"


def bulk(root):
    """Generated files stay small, but for the golden values."""
    golden = root / "tests/parity/golden"
    for path in (path for room in ROOMS for path in (root / room).rglob("*")):
        if path.is_file() and path.stat().st_size > 300_000 and golden not in path.parents:
            yield f"{path.relative_to(root)} has {path.stat().st_size} bytes, more than 300,000"


def main(root):
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in hand_written(root)}
    bad = False
    for rule in (sizes, width, layers, portability, ops, bulk):
        problems = list(rule(root if rule is bulk else texts))
        print("\n".join(f"FAIL: {problem}" for problem in problems) or f"PASS: {rule.__name__}")
        bad = bad or bool(problems)
    sys.exit(bad)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
