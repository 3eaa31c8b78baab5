# Steps that the scripts share; to be sourced from the repository root.
exec < /dev/null
jobs=$(nproc)
mkdir -p build
export CMAKE_GENERATOR="${CMAKE_GENERATOR:-Ninja}" DEBIAN_FRONTEND=noninteractive

# need PROBE=PACKAGE...: installs each package whose probe (a command or a path in /usr/include) is missing.
need() {
  local missing=() pair probe
  for pair in "$@"; do
    probe=${pair%%=*}
    command -v "$probe" > /dev/null || [ -e "/usr/include/$probe" ] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if ! command -v apt-get > /dev/null; then
    echo "missing, and there is no apt-get to install them: ${missing[*]}" >&2
    return 1
  fi
  local root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  echo "installing: ${missing[*]}"
  "${root[@]}" apt-get -qq update
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends install "${missing[@]}" > /dev/null
}

build_needs=(g++=g++ cmake=cmake ninja=ninja-build eigen3/Eigen/Core=libeigen3-dev fmt/format.h=libfmt-dev
  CLI/CLI.hpp=libcli11-dev nlohmann/json.hpp=nlohmann-json3-dev)
test_needs=(boost/test/unit_test.hpp=libboost-test-dev python3=python3 pkg-config=pkg-config dot=graphviz)

# Sets torch_python to a Python with PyTorch, for the tests that compare with it: $TAPEGRAD_TORCH_PYTHON, or
# one in build/python, made here. When that fails (no network) those tests are skipped and say so.
need_torch() {
  torch_python=${TAPEGRAD_TORCH_PYTHON:-$PWD/build/python/bin/python}
  [ -z "${TAPEGRAD_TORCH_PYTHON:-}" ] || return 0
  cmp -s tests/parity/requirements.txt build/python/requirements.txt && return 0
  echo "installing PyTorch into build/python"
  if ! install_python python tests/parity/requirements.txt > build/python.log 2>&1; then
    rm -rf build/python
    torch_python=$(command -v python3)
    echo "PyTorch cannot be installed (build/python.log says why); what compares with it is skipped" >&2
  fi
}

# install_python NAME REQUIREMENTS: an environment of its own in build/NAME.
install_python() {
  rm -rf "build/$1"
  { python3 -c 'import ensurepip' || need ensurepip=python3-venv; } &&
    python3 -m venv "build/$1" &&
    timeout 1200 "build/$1/bin/python" -m pip --disable-pip-version-check install --retries 2 -r "$2" &&
    cp "$2" "build/$1/"
}

# Sets browser_python to a Python with Playwright, for the tests of the explorer's page, as need_torch does.
need_browser() {
  browser_python=${TAPEGRAD_BROWSER_PYTHON:-$PWD/build/browser/bin/python}
  command -v chromium > /dev/null || command -v google-chrome > /dev/null || need chromium=chromium ||
    echo "Chromium cannot be installed; the tests in a browser are skipped" >&2
  [ -z "${TAPEGRAD_BROWSER_PYTHON:-}" ] || return 0
  cmp -s tests/browser/requirements.txt build/browser/requirements.txt && return 0
  echo "installing Playwright into build/browser"
  if ! install_python browser tests/browser/requirements.txt > build/browser.log 2>&1; then
    rm -rf build/browser
    browser_python=$(command -v python3)
    echo "Playwright cannot be installed (build/browser.log says why); tests that need it are skipped" >&2
  fi
}

# test_preset PRESET [CMAKE ARGUMENT]...: configures, builds and tests, and ends with `N passed, N failed`.
# BUILD_DIR names another build folder than build/PRESET, LAUNCH a command to run the tests under.
test_preset() {
  local preset=$1
  shift
  local folder=${BUILD_DIR:-build/$preset}
  local options=(-DTAPEGRAD_WERROR=ON -DTAPEGRAD_BUILD_TESTS=ON "$@")
  if ! { cmake --preset "$preset" -B "$folder" "${options[@]}" && cmake --build "$folder" -j "$jobs"; }; then
    printf '\nthe build failed\n0 passed, 1 failed\n'
    return 1
  fi
  rm -f "$folder/results.xml"
  ${LAUNCH:-} ctest --test-dir "$folder" -j "$jobs" --output-junit results.xml --no-tests=error \
    --test-output-size-passed 100000000 --test-output-size-failed 100000000 || true
  python3 tests/summary.py "$folder/results.xml"
}
