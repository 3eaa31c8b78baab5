"""pytorch_page.py BUILD: runs the Python of docs/pytorch.md (pytorch_weights.py, seq2seq.py) against ours.

Weights go to PyTorch and back; then models of `seq2seq train`, tied and untied, with sinusoidal and learned
positions, are loaded strictly in PyTorch, and both sides' logits must agree to 1e-5 of the largest.
"""
import itertools
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
sys.path[:0] = [str(HERE.parent / "parity"), str(BUILD / "docs")]

import pytorch  # noqa: E402, F401  first: without PyTorch it ends here
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
import seq2seq  # noqa: E402

LIMIT = 1e-5
SIZES = "--d-model 12 --heads 3 --layers 2 --ff 20 --max-length 14 --steps 12 --dropout 0.1".split()
CHOICES = (("untied", "tied"), ("sinusoidal", "learned"), ("pre-norm", "post-norm"))
OPTIONS = {"tied": ["--tie-embeddings"], "learned": ["--positions", "learned"],
           "post-norm": ["--post-norm", "--activation", "gelu"]}


def run(*command, folder):
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=600)


def weights(folder):
    """To PyTorch, which checks its own result, and back."""
    program = BUILD / "tests/docs_pytorch_weights"
    python = [sys.executable, BUILD / "docs/pytorch_weights.py"]
    run(program, folder=folder)
    run(*python, folder=folder)
    run(program, folder=folder)
    ours, theirs = (load_file(folder / f"{name}.safetensors") for name in ("to_pytorch", "from_pytorch"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    run(*python, folder=folder)


def logits(folder, names):
    data = folder / "data.tsv"
    data.write_text("ab\tAB\nba\tBAC\nabcd\tABCD\ncab\tCAB\nd\tDDDDD\n")
    out = folder / "-".join(names)
    options = [option for name in names for option in OPTIONS.get(name, [])]
    run(BUILD / "bin/seq2seq", "train", data, "--out", out, *SIZES, *options, folder=folder)
    model = seq2seq.load(out / "model.safetensors")
    src = torch.tensor([[4, 5, 6, 7, 2], [5, 4, 2, 0, 0], [7, 2, 0, 0, 0]])
    tgt = torch.tensor([[1, 4, 5, 6, 7, 7], [1, 5, 4, 3, 0, 0], [1, 0, 0, 0, 0, 0]])
    save_file({"src": src, "tgt": tgt}, folder / "ids.safetensors")
    run(BUILD / "tests/logits_tool", out, "ids.safetensors", "logits.safetensors", folder=folder)
    ours = load_file(folder / "logits.safetensors")["logits"]
    with torch.no_grad():
        theirs = model(src, tgt)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def main():
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        weights(folder)
        print("PASS: weights to PyTorch and back")
        for names in itertools.product(*CHOICES):
            error = logits(folder, names)
            failed |= not error <= LIMIT
            print(f"{'PASS' if error <= LIMIT else 'FAIL'}: logits, {', '.join(names)}: error {error:.2g}, "
                  f"allowed {LIMIT:g}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
