#!/bin/bash
# Every test under the thread sanitizer, with address randomisation off where that is allowed: the sanitizer
# of g++ 12 does not start under the widest setting of newer kernels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
if setarch -R true 2> /dev/null; then LAUNCH="setarch -R"; fi
test_preset tsan
