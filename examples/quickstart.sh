#!/bin/bash
# From a fresh Debian 12 machine (root, or with sudo) to an encoder-decoder that has learnt to copy:
# installs what is missing, builds the library and the programs into build/release, and trains for about a
# minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

need "${build_needs[@]}"

echo "building (a few minutes the first time)"
cmake --preset release -DTAPEGRAD_BUILD_TESTS=OFF > build/release.log || { cat build/release.log; exit 1; }
cmake --build build/release -j "$jobs" --target programs

# Trains on random sequences, then decodes 1000 new ones, and explains a smaller model number by number; the
# last lines name the files of the picture and the page.
build/release/bin/copy --picture build/copy_attention.svg --explorer build/copy_explorer.html "$@"

echo
echo "next: build/release/bin/attention_by_hand build/attention.html   three tokens, number by number"
echo "      build/release/bin/seq2seq train --help                     data of your own"
