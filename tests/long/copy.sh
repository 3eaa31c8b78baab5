#!/bin/bash
# The copy task with its default settings: three seeds of 11 symbols (at most 60 seconds of training) and
# three of 64 (at most 180). Fails below 99.5 % exact match, and writes docs/results/copy.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
cmake --preset release > build/copy.log
cmake --build build/release -j "$jobs" --target copy >> build/copy.log
results=build/copy_results.txt
: > "$results"
for vocab in 11 64; do
  for seed in 1 2 3; do
    build/release/bin/copy --vocab "$vocab" --seed "$seed" --picture build/copy_attention.svg \
      --explorer build/copy_explorer.html 2> /dev/null |
      sed -n "s/^\(exact match\|trained\)/$vocab $seed \1/p" | tee -a "$results"
  done
done
python3 tests/long/copy_table.py "$results" docs/results/copy.md
