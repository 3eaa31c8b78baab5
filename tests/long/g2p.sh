#!/bin/bash
# Spelling to phonemes on real words: trains Hungarian with three seeds and French with one by the recipe of
# examples/seq2seq/g2p.json, chooses each run's best weights on dev, scores test, and writes
# docs/results/g2p.md. Six to eleven minutes a run were seen on two cores.
#
#   TAPEGRAD_DATA=DIR bash tests/run.sh --long g2p        $RUNS names the folder of the runs (build/g2p),
# which has one folder for each build of the program
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
data=${TAPEGRAD_DATA:-}/sigmorphon2021_g2p_dev
if [ ! -f "$data/hun_train.tsv" ]; then
  echo "SKIP: \$TAPEGRAD_DATA holds no sigmorphon2021_g2p_dev"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
cmake --preset release > build/g2p.log
cmake --build build/release -j "$jobs" --target seq2seq >> build/g2p.log
# Results of another program are never taken for this one's.
runs=${RUNS:-build/g2p}/$(sha256sum build/release/bin/seq2seq | cut -c 1-12)
mkdir -p "$runs"
for run in hun.1 hun.2 hun.3 fre.1; do
  language=${run%.*}
  [ -f "$runs/$run.json" ] && continue
  build/release/bin/seq2seq train "$data/${language}_train.tsv" --valid "$data/${language}_dev.tsv" \
    --config examples/seq2seq/g2p.json --seed "${run#*.}" --out "$runs/$run" --resume
  build/release/bin/seq2seq evaluate "$runs/$run" "$data/${language}_test.tsv" > "$runs/$run.json.part"
  mv "$runs/$run.json.part" "$runs/$run.json"
done
python3 tests/long/g2p_table.py "$runs" docs/results/g2p.md
