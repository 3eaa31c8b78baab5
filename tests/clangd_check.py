"""clangd_check.py ROOT CLANGD [FILE...]: the library as an editor sees it in a bare clone, without a build.

Copies the library's folders and .clangd to an empty place and lets clangd parse files there: none has a
diagnostic. Without FILE it takes a handful; the FILE `all` stands for every file.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HANDFUL = ("autograd/tape.cpp", "autograd/kernels/norm.cpp", "autograd/kernels/gemm/gemm_micro.h",
           "autograd/inspect/page/page.cpp", "nn/attention.cpp", "nn/io/safetensors.cpp", "optim/adam.cpp")
DIAGNOSTIC = re.compile(r"^E\[[\d:.]+\] \[([\w-]+)\] (.*)$", re.M)


def check(clangd, clone, name):
    """The diagnostics of one file, as clangd prints them."""
    command = [clangd, f"--check={clone / name}", "--check-lines=1-1"]
    done = subprocess.run(command, cwd=clone, text=True, capture_output=True, timeout=600)
    problems = [f"{kind}: {text}" for kind, text in DIAGNOSTIC.findall(done.stderr)]
    if "All checks completed" not in done.stderr:
        problems.append("clangd did not finish")
    return name, problems


def main(root, clangd, names):
    if not shutil.which(clangd):
        print(f"SKIP: {clangd} is not installed")
        return True
    if names == ["all"]:
        found = [p for room in ("autograd", "nn", "optim") for p in (root / room).rglob("*")]
        names = sorted(str(p.relative_to(root)) for p in found if p.suffix in (".h", ".cpp"))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        clone = pathlib.Path(folder)
        for room in ("autograd", "nn", "optim"):
            shutil.copytree(root / room, clone / room)
        strict = "---\nCompileFlags:\n  Add: [-Werror]\n"  # clangd's own check reports errors only
        config = (root / ".clangd").read_text(encoding="utf-8")
        (clone / ".clangd").write_text(config + strict, encoding="utf-8")
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for name, problems in pool.map(lambda name: check(clangd, clone, name), names or HANDFUL):
                print(f"FAIL: {name}: " + "; ".join(problems) if problems else f"PASS: {name}")
                good = good and not problems
    return good


if __name__ == "__main__":
    sys.exit(not main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]))
