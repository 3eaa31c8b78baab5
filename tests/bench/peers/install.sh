#!/bin/bash
# Installs the peers into build/peers: PyTorch, LibTorch (its C++ half), JAX in an environment of its own, and
# DyNet built from its sources for this processor (about 10 minutes on two cores).
#
#   bash tests/bench/peers/install.sh [torch] [libtorch] [jax] [dynet] [gemm]      default: all
#
# gemm: the libraries whose matrix products kernel_bench measures, once it is configured again.
# $TAPEGRAD_TORCH_PYTHON, a Python that has PyTorch, is used where it is set. A peer that cannot be installed
# is named, and compare.py does without it; for DyNet it then takes recorded ratios. Where packages come from
# is for pip's own settings to say: PyTorch without CUDA, which is fairer in memory, and all that LibTorch can
# be built with where there is no CUDA, takes PIP_EXTRA_INDEX_URL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
source cmake/steps.sh
here=tests/bench/peers out=$PWD/build/peers
torch_python=${TAPEGRAD_TORCH_PYTHON:-$out/torch/bin/python}

# environment FOLDER REQUIREMENTS: half of one would count as installed, so that none is left.
environment() {
  { python3 -c 'import ensurepip' 2> /dev/null || need ensurepip=python3-venv; } && python3 -m venv "$1" &&
    timeout 1800 "$1/bin/python" -m pip --disable-pip-version-check -q install --retries 2 -r "$2" && return
  rm -rf "$1"
  return 1
}

install_torch() { [ -x "$torch_python" ] || environment "$out/torch" $here/requirements.txt; }

install_jax() { [ -x "$out/jax/bin/python" ] || environment "$out/jax" $here/requirements-jax.txt; }

install_libtorch() {
  cmake -S $here -B "$out/libtorch" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$("$torch_python" -c 'import torch; print(torch.utils.cmake_prefix_path)')" &&
    cmake --build "$out/libtorch"
}

# OpenMP gives Eigen's products their threads.
install_dynet() {
  local version=2.1.2 dynet=$out/dynet
  local source=$dynet/dyNET-$version
  if [ ! -d "$source" ]; then
    timeout 600 python3 -m pip --disable-pip-version-check -q download --retries 2 --no-deps -d "$dynet" \
      "dyNET==$version" &&
      rm -rf "$dynet/unpacked" && mkdir "$dynet/unpacked" &&
      tar -xzf "$source.tar.gz" -C "$dynet/unpacked" &&
      mv "$dynet/unpacked/dyNET-$version" "$source" || return
  fi
  cmake -S "$source" -B "$dynet/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="-fopenmp -w" \
    -DEIGEN3_INCLUDE_DIR=/usr/include/eigen3 -DCMAKE_POLICY_VERSION_MINIMUM=3.5 &&
    cmake --build "$dynet/build" -j "$jobs" &&
    cmake -S $here/dynet -B "$dynet/bench" -DCMAKE_BUILD_TYPE=Release -DDYNET_SOURCE="$source" \
      -DDYNET_BUILD="$dynet/build" &&
    cmake --build "$dynet/bench"
}

install_gemm() {
  need "$(uname -m)-linux-gnu/openblas_config.h=libopenblas-dev" dnnl.h=libdnnl-dev libxsmm.h=libxsmm-dev
}

need "${build_needs[@]}" python3=python3
mkdir -p "$out"
[ $# -gt 0 ] || set -- torch libtorch jax dynet gemm
for peer in "$@"; do
  "install_$peer" || echo "not installed: $peer" >&2
done
echo "peers in $out; now: python3 tests/bench/compare.py"
