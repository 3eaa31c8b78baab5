#!/bin/bash
# Installs what is missing (Debian 12; root or sudo), builds, runs every test; ends with `N passed, N failed`.
#
#   bash tests/run.sh               the tests
#   bash tests/run.sh --long        every long form (tests/long/NAME.sh), one after the other
#   bash tests/run.sh --long NAME   one of them
#
# Tests of outside data need $TAPEGRAD_DATA, the folder that holds it; without it they are skipped. PyTorch,
# which some compare with, is installed into build/python, or $TAPEGRAD_TORCH_PYTHON is a Python that has it.
# Chromium and Playwright, for the explorer's page, are installed too (build/browser, or
# $TAPEGRAD_BROWSER_PYTHON).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

names=$(cd tests/long && ls ./*.sh | sed 's|^./||; s|[.]sh$||' | tr '\n' ' ')

# Runs the long forms given and adds up their last lines; one without such a line counts as one case.
run_long() {
  local passed=0 failed=0 skipped=0 name code last
  for name in "$@"; do
    echo "=== $name"
    code=0
    bash "tests/long/$name.sh" 2>&1 | tee "build/long_$name.log" || code=$?
    last=$(tail -n 1 "build/long_$name.log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
      passed=$((passed + BASH_REMATCH[1]))
      failed=$((failed + BASH_REMATCH[2]))
      skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    elif [ "$code" -eq 0 ]; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done
  echo "=== together"
  if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
  else
    echo "$passed passed, $failed failed"
  fi
  [ "$failed" -eq 0 ]
}

case "${1:-}" in
  "") ;;
  --long) [ $# -le 2 ] && { [ $# -eq 1 ] || [ -f "tests/long/$2.sh" ]; } ||
    { echo "no long form of that name; there are: $names" >&2; exit 2; } ;;
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' tests/run.sh; echo "Long forms: $names"; exit ;;
  *) echo "unknown option $1; see bash tests/run.sh --help" >&2; exit 2 ;;
esac

need "${build_needs[@]}" "${test_needs[@]}"
if [ "${1:-}" = --long ]; then
  run_long ${2:-$names}
else
  need_torch
  need_browser
  test_preset release "-DTAPEGRAD_TORCH_PYTHON=$torch_python" "-DTAPEGRAD_BROWSER_PYTHON=$browser_python"
fi
