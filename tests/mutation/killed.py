"""killed.txt: the backward rules that the mutation test last found no fault in, as a digest a file."""
import collections
import hashlib
import pathlib

PATH = pathlib.Path(__file__).resolve().parent / "killed.txt"
HEAD = """# Written by `bash tests/run.sh --long mutation` when every mutant was killed or proven no fault:
# FILE, number of mutants (with those that do not compile), digest of the file's backward rules and mutants.
"""
ADVICE = ("run `bash tests/run.sh --long mutation` (5 to 20 minutes on 2 cores) and commit "
          "tests/mutation/killed.txt")


def digests(made):
    """(number of mutants, digest) by file; neither lines, order, comments nor white space change it."""
    keys = collections.defaultdict(list)
    for mutant in made.mutants:
        if mutant.file:
            keys[mutant.file].append(mutant.whole)
    return {name: (len(keys[name]), hashlib.sha256(
        "\n".join(sorted(keys[name]) + sorted(made.rule_tokens[name])).encode()).hexdigest()[:32])
            for name in sorted(made.texts)}


def write(made):
    rows = [f"{name} {count} {digest}\n" for name, (count, digest) in digests(made).items()]
    PATH.write_text(HEAD + "".join(rows), encoding="utf-8")


def stale(made, text=None):
    """A message for each file whose rules are not in killed.txt."""
    if text is None:
        text = PATH.read_text(encoding="utf-8") if PATH.exists() else ""
    rows = [line.split() for line in text.split("\n") if line.strip() and not line.startswith("#")]
    known = {name: (int(count), digest) for name, count, digest in rows}
    now = digests(made)
    for name in sorted(known.keys() | now.keys()):
        if name not in known:
            yield f"the mutation test never ran on the backward rules of {name}; {ADVICE}"
        elif name not in now:
            yield f"{name} has no backward rules any more; {ADVICE}"
        elif known[name] != now[name]:
            yield (f"the backward rules of {name}, or the mutants made of them, changed since the mutation "
                   f"test last ran; {ADVICE}")
