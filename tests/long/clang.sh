#!/bin/bash
# Build and tests with clang 16, warnings as errors, and without precompiled headers, which would hide a
# missing include.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source cmake/steps.sh
need clang++-16=clang-16
BUILD_DIR=build/clang test_preset release -DCMAKE_CXX_COMPILER=clang++-16 -DTAPEGRAD_PCH=OFF
