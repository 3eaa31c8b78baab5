"""check_headers.py ROOT COMPILER FLAGS...: every public header compiles alone, without a warning."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
STRICT = ["-std=c++20", "-fsyntax-only", *WARNINGS, "-x", "c++", "-"]


def check(command, header):
    include = f"#include <tapegrad/{header}>\n"
    isa = ["-DTAPEGRAD_ISA=generic"] if header.startswith("autograd/kernels/") else []
    full = command + isa + STRICT
    done = subprocess.run(full, input=include * 2, text=True, capture_output=True, timeout=600)
    return header, done.returncode, done.stderr


def main(root, command):
    found = [path for room in ("autograd", "nn", "optim") for path in (root / room).rglob("*.h")]
    headers = [*(str(path.relative_to(root)) for path in found), "tapegrad.h", "nn.h", "optim.h"]
    bad = False
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for header, code, text in pool.map(lambda header: check(command, header), sorted(headers)):
            print(f"{'FAIL' if code else 'PASS'}: {header}" + (f"\n{text}" if code else ""))
            bad = bad or code != 0
    sys.exit(bad)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
