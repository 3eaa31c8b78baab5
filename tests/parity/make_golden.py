#!/usr/bin/env python3
"""Writes the golden files of the parity tests from PyTorch (torch==2.13.0, numpy; CPU, f64).

    make_golden.py            write golden/*.safetensors beside this script
    make_golden.py --check    compare with the files there instead; exit 1 when a byte differs
    make_golden.py --list     print every tensor with its shape (the listing in README.md)

Numbers depend on the names of the tensors alone, not on the order in which they are drawn.  Initial values
that PyTorch gives (not in the files, since draws differ; test the bounds):

    Linear weight, bias              uniform +-1 / sqrt(in_features)
    MultiheadAttention in_proj       Xavier uniform of the packed matrix [3E, E]: +-sqrt(6 / 4E); biases 0
    MultiheadAttention out_proj      weight uniform +-1 / sqrt(E), bias 0
    Embedding                        normal(0, 1), row padding_idx 0
    LayerNorm, RMSNorm               weight 1, bias 0
    Transformer                      every matrix again by Xavier uniform; the biases of linear1, linear2 stay
"""
import argparse
import pathlib
import re
import sys
import textwrap

from golden_format import DTYPES, as_array, encode
import golden_ops
import golden_optim
import golden_transformer
import torch

HERE = pathlib.Path(__file__).resolve().parent / "golden"
LIMIT = 400_000


def listing(tensors):
    """Lines `case: name[shape] ...`; `*`: has a gradient, `+`: also a value after; layers folded."""
    cases = {}
    for name, value in sorted(tensors.items()):
        is_case_gradient = ".grad." in name and name.replace("grad.", "") in tensors
        if name.startswith(("grad.", "after.")) or is_case_gradient:
            continue
        head, _, rest = name.partition(".")
        array = as_array(value)
        mark = "*" if f"grad.{name}" in tensors or f"{head}.grad.{rest}" in tensors else ""
        mark += "+" if f"after.{rest}" in tensors else ""
        kind = "" if array.dtype == "float64" else f":{DTYPES[array.dtype]}"
        word = re.sub(r"layers\.\d", "layers.N", rest)
        word += f"{mark}[{','.join(map(str, array.shape))}]{kind}"
        words = cases.setdefault(head, [])
        if word not in words:
            words.append(word)
    same = {}
    for head, words in cases.items():
        same.setdefault(" ".join(words), []).append(head)
    for words, heads in same.items():
        yield textwrap.fill(f"{', '.join(heads)}: {words}", 110, subsequent_indent="    ")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--list", action="store_true", help="print names and shapes, write nothing")
    arguments = parser.parse_args()
    if torch.__version__.partition("+")[0] != "2.13.0":
        sys.exit(f"make_golden.py: needs torch 2.13.0, found {torch.__version__}")
    files = {**golden_transformer.files(), **golden_ops.files(), **golden_optim.files()}
    HERE.mkdir(exist_ok=True)
    total, different = 0, []
    for name, (tensors, metadata) in files.items():
        content = encode(tensors, {"format": "pt", "torch": "2.13.0", **metadata})
        path = HERE / f"{name}.safetensors"
        total += len(content)
        if arguments.list:
            print(f"{path.name}: {len(content)} bytes, {len(tensors)} tensors")
            print(*listing(tensors), "", sep="\n")
        elif not arguments.check:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            different.append(path.name)
    assert total <= LIMIT, f"{total} bytes, more than {LIMIT}"
    if different:
        sys.exit(f"make_golden.py: differ: {', '.join(different)}")
    print(f"{len(files)} files, {total} bytes")


if __name__ == "__main__":
    main()
