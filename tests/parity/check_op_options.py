"""check_op_options.py ROOT: every field of an op's options is set in a sample or parity case.

Reads the structs `...Options` of autograd/ops/**/X.h. Each field must be set to something else than its
default (`.field = ...`) in tests/autograd/ops/**/X_samples.cpp or, as `OpOptions{.field = ...}`, in the
samples of another op or in tests/parity/*.cpp.
"""
import pathlib
import re
import sys

from check_layers import options_of, set_in, without_comments


def values_of(field, text):
    """The values of `field` in designated initializers."""
    found = re.findall(rf"[{{,]\s*\.{field}\s*=\s*([^,{{}}]*(?:\{{\}})?)", text)
    return {" ".join(value.split()) for value in found}


def problems(headers, samples, cases):
    """headers: {stem: text} of autograd/ops; samples: those of tests/autograd/ops; cases: tests/parity."""
    samples = {stem: without_comments(text) for stem, text in samples.items()}
    named = set_in("\n".join([*samples.values(), without_comments(cases)]))
    for stem, header in headers.items():
        for struct, field, default in options_of(without_comments(header)):
            values = values_of(field, samples.get(stem, "")) | named.get((struct, field), set())
            if not values - {default}:
                yield (f"autograd/ops/{stem}.h: no sample sets {struct}::{field} to something else than its "
                       f"default ({default or 'none'}): add one with {{.{field} = …}} to the OpSamples of "
                       f"{stem}_samples.cpp, then run tests/parity/make_golden.py")


HEADER = """struct CastOptions {
  Mask mask = {};   ///< a comment, with {.loss = 1}
  double loss =
      0;
};
Var cast(const Var& x, const CastOptions& options = {});"""
SAMPLES = """std::vector<Sample> some() { return {{.mask = causal, .loss = 3}}; }
const OpSamples cast_samples("cast", [] { return some(); });"""


def check_itself():
    """The rule finds what it is for."""
    def found(header=HEADER, source=SAMPLES, cases=""):
        return [text.split(": ")[1].split(" to something")[0]
                for text in problems({"cast": header}, {"cast": source}, cases)]

    loss, mask = "no sample sets CastOptions::loss", "no sample sets CastOptions::mask"
    assert found() == []
    assert found(source=SAMPLES.replace(".loss = 3", ".loss = 0")) == [loss]
    assert found(source=SAMPLES.replace(".mask = causal", ".mask = {}")) == [mask]
    assert found(source=SAMPLES.replace(", .loss = 3", "/* */ // {.loss = 3}\n")) == [loss]
    assert found(source=SAMPLES.split("\n")[1]) == [mask, loss]
    assert found(source="", cases="CastOptions{.mask = m, .loss = 1} OtherOptions{.loss = 1}") == []
    assert found(source="", cases="CastOptions{.mask = m} OtherOptions{.loss = 1}") == [loss]
    assert found(header=HEADER.replace("Mask", "double z_loss = 0;\n  Mask")) == [
        "no sample sets CastOptions::z_loss"]


def read(folder, pattern, ending=""):
    paths = sorted(folder.glob(pattern))
    return {path.stem.removesuffix(ending): path.read_text(encoding="utf-8") for path in paths}


def main(root):
    check_itself()
    headers = read(root / "autograd/ops", "**/*.h")
    samples = read(root / "tests/autograd/ops", "**/*_samples.cpp", "_samples")
    found = list(problems(headers, samples, "\n".join(read(root / "tests/parity", "*.cpp").values())))
    fields = [field for header in headers.values() for field in options_of(without_comments(header))]
    if len(fields) < 8:
        found.append(f"the scan finds only {len(fields)} fields of options")
    print("\n".join(f"FAIL: {problem}" for problem in found)
          or f"PASS: every one of {len(fields)} fields of ops' options is set in a sample or case")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
