"""The provenance of measured numbers: machine, versions, load, commit and command, stored with the lines."""
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = {"libeigen3-dev": "Eigen", "libopenblas-dev": "OpenBLAS", "libdnnl-dev": "oneDNN",
            "libxsmm-dev": "LIBXSMM"}


def output(command):
    """The output of a command, or nothing when it fails or is missing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def processor():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def commit():
    name = output(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"])
    changed = output(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no", "--", ".",
                      ":!docs"])  # this very run writes there
    return (name or "unknown") + (" with changes" if changed else "")


def package_versions():
    """Versions of the installed packages. Queries each alone, since dpkg-query fails when one is missing."""
    found = {name: output(["dpkg-query", "-W", "-f", "${Version}", package])
             for package, name in PACKAGES.items()}
    return {name: version for name, version in found.items() if version}


def python_versions(python, modules):
    """Versions of the modules that this Python has."""
    code = ("import importlib.metadata as m\nfor n in %r:\n try: print(n, m.version(n))\n"
            " except m.PackageNotFoundError: pass" % (modules,))
    return dict(map(str.split, output([python, "-c", code]).splitlines()))


def load():
    return [round(x, 2) for x in os.getloadavg()]


def short(argument):
    """A path as it reads on other machines: below the root, or its last name."""
    path = pathlib.Path(argument)
    if not path.is_absolute():
        return argument
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def begin(part, versions):
    """The line before the others of a run."""
    command = shlex.join([pathlib.Path(sys.argv[0]).name, *map(short, sys.argv[1:])])
    return {"run": {"part": part, "date": datetime.date.today().isoformat(), "cpu": processor(),
                    "cores": os.cpu_count(), "usable": len(os.sched_getaffinity(0)), "versions": versions,
                    "commit": commit(), "command": command, "load": load()}}


def record(path, part, versions, lines, append=False):
    """Writes the lines of a run as they come, between its first and its last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_suffix(".begun")  # a failed run keeps the earlier lines
    if append and path.exists():
        begun.write_bytes(path.read_bytes())
    with begun.open("a" if append else "w", encoding="utf-8") as kept:
        def keep(line):
            kept.write(json.dumps(line, ensure_ascii=False) + "\n")
            kept.flush()
        keep(begin(part, versions))
        for line in lines:
            keep(line)
        keep({"run_end": {"load": load()}})
    begun.replace(path)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def part_of(lines):
    return next((line["run"]["part"] for line in lines if "run" in line), None)


def text(lines, peak=None):
    """A paragraph on every run among the lines; `peak` in GFLOP/s a core, where it was measured."""
    said = []
    ends = [line["run_end"]["load"] for line in lines if "run_end" in line]
    for number, run in enumerate(line["run"] for line in lines if "run" in line):
        after = ends[number] if number < len(ends) else None
        cores = f"{run['cores']} cores" + (f", {run['usable']} of them used"
                                           if run["usable"] < run["cores"] else "")
        peaks = f", FMA peak {peak:.0f} GFLOP/s a core" if peak else ""
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        said.append(f"{run['date']}, {run['cpu']}, {cores}{peaks}; commit {run['commit']}; "
                    + (f"{versions}; " if versions else "")
                    + f"load {' '.join(map(str, run['load']))} before"
                    + (f", {' '.join(map(str, after))} after" if after else ", cut short")
                    + f"; `{run['command']}`.")
    return "\n\n".join(said)
