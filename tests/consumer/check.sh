#!/bin/bash
# check.sh BUILD COMPILER: installs BUILD, moves the prefix, and builds and runs a consumer, by find_package
# and by pkg-config.
set -euo pipefail
build=$1 compiler=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$build/consumer
rm -rf "$work"
mkdir -p "$work"

cmake --install "$build" --prefix "$work/first" > /dev/null
mv "$work/first" "$work/prefix"

root=$here/../..
(cd "$root" && { find autograd nn optim -name '*.h'; printf '%s\n' nn.h optim.h tapegrad.h; } | sort) \
  > "$work/expected"
(cd "$work/prefix/include/tapegrad" && find . -name '*.h' | sed 's|^./||' | sort) > "$work/installed"
diff "$work/expected" "$work/installed"
echo "PASS: every public header is installed"

cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_BUILD_TYPE=Release > "$work/cmake.log"
cmake --build "$work/cmake" >> "$work/cmake.log"
"$work/cmake/consumer"
echo "PASS: find_package"

export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tapegrad.pc)")
if ! command -v pkg-config > /dev/null; then
  echo "SKIP: there is no pkg-config"
  exit
fi
# shellcheck disable=SC2046
"$compiler" -std=c++20 "$here/main.cpp" $(pkg-config --cflags --libs tapegrad) -o "$work/by_pkg_config"
LD_LIBRARY_PATH=$(pkg-config --variable=libdir tapegrad) "$work/by_pkg_config"
echo "PASS: pkg-config"
