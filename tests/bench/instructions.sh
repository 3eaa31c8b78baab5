#!/bin/bash
# Instructions of one training step, counted by callgrind (valgrind, without AVX-512) for each bench_step
# given: what a change costs where a clock is too coarse.
#
#   bash tests/bench/instructions.sh SIZE BENCH_STEP...      SIZE as bench_step takes it: S1, S, M, L
set -euo pipefail
size=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
count() {  # count BENCH_STEP STEPS
  valgrind --tool=callgrind --callgrind-out-file="$folder/out" "$1" --size "$size" --threads 1 --warmup 1 \
    --steps "$2" > /dev/null 2> "$folder/log" || { cat "$folder/log" >&2; return 1; }
  sed -n 's/^summary: //p; s/^totals: //p' "$folder/out" | tail -n 1
}
for program in "$@"; do
  few=$(count "$program" 2) many=$(count "$program" 4)
  echo "$program: $(((many - few) / 2)) instructions a step at $size"
done
