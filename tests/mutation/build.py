"""Writes the mutated tree and compiles it, leaving out the mutants that do not compile."""
import hashlib
import os
import pathlib
import posixpath
import re
import shutil
import subprocess

import generate
import killed

HERE = pathlib.Path(__file__).resolve().parent
ON = re.compile(r"::mutation::on\((\d+)\)")
PLACE = re.compile(r"(\S+?):(\d+)(?::\d+)?:")


def write_tree(root, tree, texts):
    """A copy of autograd/ with the mutated files; files that stay as they are keep their time."""
    source = pathlib.Path(root) / "autograd"
    for path in [p for p in source.rglob("*") if p.suffix in (".h", ".cpp")]:
        name = str(path.relative_to(root))
        target = tree / name
        text = texts.get(name) or path.read_text(encoding="utf-8")
        # Inlined by force, the alternatives of nested lambdas would multiply.
        text = text.replace("__attribute__((always_inline))", "")
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def blamed(output, tree, texts):
    """Numbers of the mutants that a compiler's messages name."""
    numbers, unclear = set(), []
    lines = {name: text.split("\n") for name, text in texts.items()}

    def mutant_at(file, line):
        at = file.find("/autograd/")
        name = posixpath.normpath(file[at + 1:] if at >= 0 else file)
        text = lines.get(name, [])
        # A second return of another type is blamed on the statement that stands below its mutant.
        rows = text[max(0, int(line) - (3 if deduction else 1)):int(line)]
        found = next((ON.search(row) for row in reversed(rows) if ON.search(row)), None)
        return int(found[1]) if found else None

    deduction = False
    context = []  # where the templates around an error were instantiated; stands before it
    for row in output.split("\n"):
        if ": error:" in row:
            deduction = "inconsistent deduction" in row
            for place in [row] + context[::-1]:
                found = PLACE.match(place.strip().removeprefix("from "))
                number = mutant_at(found[1], found[2]) if found else None
                if number is not None:
                    numbers.add(number)
                    break
            else:
                unclear.append(row)
            context = []
        elif re.search(r"required from|In (instantiation|lambda|member|function)|note:", row):
            context.append(row)
    return numbers, unclear


def build(root, folder, jobs):
    """The generator whose tree was built, and the runner. Raises when the rest does not compile."""
    folder = pathlib.Path(folder).resolve()
    tree, objects = folder / "src", folder / "objects"
    known = folder / "stillborn.txt"  # of the very same mutants, or nothing is known
    rules = repr(killed.digests(generate.Generator(root)))
    digest = hashlib.sha256(rules.encode()).hexdigest()
    lines = known.read_text(encoding="utf-8").split("\n") if known.exists() else [""]
    stillborn = set(lines[1:]) - {""} if lines[0] == digest else set()
    if (tree / "autograd").exists():
        names = {str(p.relative_to(root)) for p in (pathlib.Path(root) / "autograd").rglob("*")}
        for path in [p for p in tree.rglob("*") if p.is_file() and str(p.relative_to(tree)) not in names]:
            path.unlink()
    for attempt in range(8):
        made = generate.Generator(root, stillborn)
        write_tree(root, tree, made.texts)
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        options = ["-G", "Ninja", f"-DMUTATION_TREE={tree}", *launcher]
        subprocess.run(["cmake", "-S", HERE, "-B", objects, *options], check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run(["ninja", "-C", objects, "-k", "0", "-j", str(jobs)], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=os.environ | {"LC_ALL": "C"})
        (folder / f"build_{attempt}.log").write_text(done.stdout, encoding="utf-8")
        if done.returncode == 0:
            return made, objects / "mutation_runner"
        numbers, unclear = blamed(done.stdout, tree, made.texts)
        fresh = {made.mutants[k].key for k in numbers} - stillborn
        print(f"compiled: {len(fresh)} mutants are stillborn", *unclear[:5], sep="\n", flush=True)
        if not fresh:
            raise SystemExit(f"the mutated tree does not compile; see {folder}/build_{attempt}.log")
        stillborn |= fresh
        known.write_text("\n".join([digest, *sorted(stillborn)]) + "\n", encoding="utf-8")
    raise SystemExit("the mutated tree still does not compile")
