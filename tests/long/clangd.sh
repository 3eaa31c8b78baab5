#!/bin/bash
# Every file of the library as clangd sees it in a bare clone, without a build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
need clangd=clangd
python3 tests/clangd_check.py . clangd all | tee build/clangd.txt || true
passed=$(grep -c "^PASS" build/clangd.txt || true) failed=$(grep -c "^FAIL" build/clangd.txt || true)
echo "$passed passed, $failed failed"
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
