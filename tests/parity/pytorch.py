"""Imported first by scripts that need PyTorch: without it they exit with 0 and a line that counts as skipped.

One thread and no random kernels: PyTorch's results depend on its version and the processor alone.
"""
import os
import sys
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

try:
    import numpy  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch
except ImportError as missing:
    print(f"SKIP: PyTorch is not installed: {missing}")
    sys.exit(0)

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
warnings.filterwarnings("ignore", message=".*nested_tensor")
