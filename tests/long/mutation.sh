#!/bin/bash
# Mutation test of the backward rules: builds every mutant into one program, runs the checks of all ops
# against each, and writes docs/results/mutation.md. Fails when a mutant survives that
# tests/mutation/equivalent.txt does not prove to be no fault.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
python3 tests/mutation/mutate.py run . build/mutation docs/results/mutation.md -j "$jobs"
