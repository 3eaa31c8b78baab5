#!/bin/bash
# Matrix products beside other libraries': kernel_bench compares each library's results with ours before it
# measures, and stops where they differ.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
machine=$(uname -m)-linux-gnu
need "$machine/openblas_config.h=libopenblas-dev" dnnl.h=libdnnl-dev libxsmm.h=libxsmm-dev
cmake --preset release -B build/gemm
cmake --build build/gemm -j "$jobs" --target kernel_bench
build/gemm/bin/kernel_bench --only gemm --seconds 0.02 | tee build/gemm/products.txt
passed=0 failed=0
for name in Eigen OpenBLAS oneDNN LIBXSMM; do
  if grep -q "$name" build/gemm/products.txt; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
