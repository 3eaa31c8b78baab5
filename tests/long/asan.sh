#!/bin/bash
# Every test under the address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
export UBSAN_OPTIONS=print_stacktrace=1
test_preset asan
