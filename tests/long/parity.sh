#!/bin/bash
# Everything that is compared with PyTorch, with three seeds: ops, layers, optimizers, schedules, whole
# Transformers, state dicts, files. Writes the tables of docs/parity.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
need_torch
cmake --preset release -DTAPEGRAD_BUILD_TESTS=ON "-DTAPEGRAD_TORCH_PYTHON=$torch_python" > build/parity.log
cmake --build build/release -j "$jobs" --target seq2seq parity parity_tool state_dict_tool safetensors_tool \
  logits_tool docs_pytorch_weights >> build/parity.log
if "$torch_python" -c 'import torch, safetensors' 2> /dev/null; then
  "$torch_python" tests/parity/report.py build/release docs/parity.md
else
  echo "SKIP: PyTorch is not installed"
  echo "0 passed, 0 failed, 1 skipped"
fi
