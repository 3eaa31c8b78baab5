"""Inputs and files of the golden data: reproducible draws and a canonical safetensors writer.

Importing this module pins PyTorch to code paths that ignore the CPU's vector extensions; it must therefore be
imported before torch is.
"""
import json
import os
import zlib

os.environ.update(ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE", OMP_NUM_THREADS="1",
                  MKL_NUM_THREADS="1")

import pytorch  # noqa: E402,F401  ends well where there is none
import numpy as np  # noqa: E402
import torch  # noqa: E402

# In the order of the format's canonical layout: wider types first, so that every tensor is aligned.
DTYPES = {np.dtype("int64"): "I64", np.dtype("float64"): "F64", np.dtype("float32"): "F32",
          np.dtype("uint8"): "U8"}


def draw(name, *shape, scale=1.0, mean=0.0):
    """Normal numbers that depend on `name` alone, rounded to multiples of 2^-12, which f32 holds exactly."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.tensor(np.round((values * scale + mean) * 4096) / 4096 + 0.0, dtype=torch.float64)


def draw_parameters(module, prefix):
    """Gives every parameter its own random values, biases and norm gains too (PyTorch's start at 0 and 1)."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            is_gain = "norm" in name and name.endswith("weight")
            spread = {"scale": 0.3 if parameter.dim() > 1 else 0.2, "mean": 1.0 if is_gain else 0.0}
            parameter.copy_(draw(f"{prefix}.{name}", *parameter.shape, **spread))


def as_array(value):
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return np.ascontiguousarray(array.astype(np.uint8) if array.dtype == bool else array).reshape(array.shape)


def encode(tensors, metadata):
    """The bytes of a safetensors file in canonical order: by type, then by name; metadata sorted by key."""
    arrays = {name: as_array(value) for name, value in tensors.items()}
    ranks = list(DTYPES)
    order = sorted(arrays, key=lambda name: (ranks.index(arrays[name].dtype), name))
    header = {"__metadata__": {key: metadata[key] for key in sorted(metadata)}}
    begin = 0
    for name in order:
        array = arrays[name]
        assert array.dtype == np.uint8 or np.all(np.isfinite(array)), name
        header[name] = {"dtype": DTYPES[array.dtype], "shape": list(array.shape),
                        "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(arrays[name].tobytes() for name in order)
