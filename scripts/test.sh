#!/usr/bin/env bash
# Set-up, build, every fast test, and the torch-free rooms once more under the sanitizers. What CI runs.
#
#   scripts/test.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 # two processes of two threads on two cores run three times slower

jobs=$(compile_jobs)
readonly jobs
timings=''

stage() { # NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  say "$name"
  "$@"
  timings+=$(printf '%-28s %5d s' "$name" $((SECONDS - start)))$'\n'
}

build() { # PRESET
  local launcher=()
  # ccache helps where nothing is precompiled; with a precompiled header it would need looser checks than we want.
  [[ $1 == asan ]] && have ccache && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake --preset "$1" "${launcher[@]}" && cmake --build --preset "$1" -j "$jobs"
}

stage set-up scripts/setup.sh
# shellcheck source=/dev/null
source .deps/env.sh
stage data scripts/fetch_data.sh fashion_mnist
stage 'build release' build release
stage 'test release' ctest --preset release -j "$jobs"
stage 'build asan' build asan
stage 'test asan' ctest --preset asan -j "$jobs"
say "all passed"
printf '%s' "$timings"
