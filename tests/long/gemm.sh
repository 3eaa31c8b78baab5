#!/bin/bash
# Every test with each library behind the matrix products; what promises the bits of own kernels is skipped
# and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
machine=$(uname -m)-linux-gnu
need "$machine/openblas_config.h=libopenblas-dev" dnnl.h=libdnnl-dev libxsmm.h=libxsmm-dev
need_torch
passed=0 failed=0 skipped=0
for name in eigen openblas onednn libxsmm; do
  BUILD_DIR=build/gemm-$name test_preset release "-DTAPEGRAD_GEMM=$name" \
    "-DTAPEGRAD_TORCH_PYTHON=$torch_python" 2>&1 | tee "build/gemm-$name.log" || true
  last=$(tail -n 1 "build/gemm-$name.log")
  echo "$name: $last"
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
