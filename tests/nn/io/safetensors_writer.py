"""safetensors_writer.py TOOL: dictionaries saved by the reference writer, then loaded and saved by ours, must
be the same bytes. `safetensors_writer.py --golden FOLDER` writes the files that C++ tests compare with."""
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, save_file, save_model
except ImportError as error:
    print(f"SKIP: byte-identical writer: {error}")
    sys.exit(0)

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
DTYPES = FLOATS + [torch.int64, torch.int32, torch.uint8, torch.bool]
NAMES = ["weight", "bias", "", " ", "../etc", "a.b.0", 'say "q"', "back\\slash", "tab\t", "\n", "\r\b\f",
         "\x01\x1f", "\x7f", "é", "ß", "日本語", "😀", "\u2028", "a/b", "__metadata", "0", "-", "x" * 300,
         "\u0301", "Z", "z"]
SHAPES = [(), (1,), (0,), (3,), (2, 3), (0, 4), (4, 0), (2, 1, 3), (1,) * 8, (5, 7), (64,)]
COUNT = 256


def random_tensor(draw, dtype):
    shape = draw.choice(SHAPES)
    if dtype is torch.bool:
        return torch.randint(0, 2, shape).bool()
    if dtype.is_floating_point:
        values = torch.randn(shape, dtype=torch.float64) * 10.0 ** draw.randint(-8, 4)
        if values.numel() and draw.random() < 0.2:
            values.view(-1)[0] = draw.choice([float("nan"), float("inf"), -float("inf"), -0.0, 1e-300])
        return values.to(dtype)
    info = torch.iinfo(dtype)
    return torch.randint(info.min, info.max, shape, dtype=dtype)


def dictionaries():
    yield {}, None
    yield {}, {"k": "v"}
    yield {str(dtype): torch.ones(2, dtype=dtype) for dtype in DTYPES}, {"format": "pt"}
    yield torch.nn.Transformer(8, 2, 1, 1, 16).state_dict(), {"format": "pt"}
    draw = random.Random(20)
    for number in range(COUNT):
        tensors = {}
        for _ in range(draw.randint(0, 12)):
            name = draw.choice(NAMES) + draw.choice(["", draw.choice(NAMES), str(draw.randint(0, 99))])
            tensors[name] = random_tensor(draw, draw.choice(DTYPES))
        metadata = draw.choice([None, {}, {"format": "pt"}, {draw.choice(NAMES): draw.choice(NAMES)}])
        # Of no tensors and no keys safetensors 0.8.0 makes `{},"__metadata__":{}}`, which it cannot read.
        yield tensors, metadata if tensors else metadata or None


def content(tensors):
    return {name: (t.dtype, t.shape, bytes(t.contiguous().view(-1).view(torch.uint8).tolist()))
            for name, t in tensors.items()}


def check(tool):
    with tempfile.TemporaryDirectory() as name:
        folder, paths, dicts = pathlib.Path(name), [], []
        for number, (tensors, metadata) in enumerate(dictionaries()):
            theirs, ours = folder / f"{number}.theirs", folder / f"{number}.ours"
            save_file(tensors, theirs, metadata)
            dicts.append((tensors, metadata))
            paths += [theirs, ours]
        result = subprocess.run([tool, "resave", *paths], capture_output=True, text=True, timeout=600)
        if result.returncode != 0:
            sys.exit(f"FAIL: {result.stderr.strip()}")
        failures = 0
        for (tensors, metadata), theirs, ours in zip(dicts, paths[::2], paths[1::2]):
            if theirs.read_bytes() != ours.read_bytes():
                failures += 1
                print(f"FAIL: {list(tensors)} {metadata}: other bytes")
            elif content(load_file(ours)) != content(tensors):
                failures += 1
                print(f"FAIL: {list(tensors)} {metadata}: PyTorch reads other values")
    print(f"{'FAIL' if failures else 'PASS'}: {len(dicts) - failures}/{len(dicts)} dictionaries "
          f"byte-identical, torch {torch.__version__}")
    return 1 if failures else 0


def write_golden(folder):
    """Exact values, which C++ can compare for equality."""
    values = [0, 1, 2.5, -3, 65504, 2**-24]
    tensors = {str(dtype).removeprefix("torch."): torch.tensor(values, dtype=torch.float64).to(dtype)
               for dtype in FLOATS}
    tensors["int64"] = torch.tensor([[-2**63, 2**63 - 1, 7]])
    tensors["int32"] = torch.tensor([-2**31, 2**31 - 1], dtype=torch.int32)
    tensors["uint8"] = torch.tensor([0, 1, 255], dtype=torch.uint8)
    tensors["bool"] = torch.tensor(True)
    tensors['odd é "\\\n\x01'] = torch.zeros(0, 3, dtype=torch.float16)
    save_file(tensors, folder / "every_dtype.safetensors", {"format": "pt"})
    save_file({"a": torch.tensor([1.0, 2.0])}, folder / "no_metadata.safetensors")
    words = torch.nn.ModuleDict({"tgt_emb": torch.nn.Embedding(3, 2), "generator": torch.nn.Linear(2, 3)})
    words["tgt_emb"].weight.data = torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    words["generator"].bias.data = torch.tensor([7.0, 8, 9])
    words["generator"].weight = words["tgt_emb"].weight
    save_model(words, folder / "tied.safetensors")


if __name__ == "__main__":
    torch.manual_seed(0)
    if sys.argv[1] == "--golden":
        write_golden(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(check(sys.argv[1]))
