#!/bin/bash
# Installs the peers into build/peers: PyTorch, LibTorch (its C++ half), and JAX in an environment of its own.
#
#   bash tests/bench/peers/install.sh
#
# $TAPEGRAD_TORCH_PYTHON, a Python that has PyTorch, is used where it is set. DyNet is not installed:
# compare.py takes its recorded ratios.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
here=tests/bench/peers out=build/peers

environment() {
  python3 -m venv "$1"
  "$1/bin/python" -m pip --disable-pip-version-check -q install --extra-index-url \
    https://download.pytorch.org/whl/cpu -r "$2"
}

mkdir -p $out
torch_python=${TAPEGRAD_TORCH_PYTHON:-$out/torch/bin/python}
[ -x "$torch_python" ] || environment $out/torch $here/requirements.txt
[ -x $out/jax/bin/python ] || environment $out/jax $here/requirements-jax.txt
cmake -S $here -B $out/libtorch -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$("$torch_python" -c 'import torch; print(torch.utils.cmake_prefix_path)')"
cmake --build $out/libtorch
echo "peers in $out; now: python3 tests/bench/compare.py"
