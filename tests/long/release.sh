#!/bin/bash
# A release needs, besides green tests, that the mutation test ran on the present backward rules. Where this
# fails, run `bash tests/run.sh --long mutation` and commit tests/mutation/killed.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python3 tests/mutation/mutate.py gate .
