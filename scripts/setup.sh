#!/usr/bin/env bash
# Finds or installs what the build needs, says what it does, and may be run again at any time. Never asks a question.
#
#   scripts/setup.sh
#
# LibTorch: Torch_DIR or CMAKE_PREFIX_PATH, else the active Python's torch, else what the last run used, else the pinned
# wheel in ./.venv (5 GB). Libraries: Debian's packages, installed as root, unpacked into ./.deps otherwise.
# nvcc for the CUDA plugin: the system's, else PyPI's in ./.venv; ELBO_CUDA=OFF does without.
# Leaves .deps/settings.cmake (read by CMakeLists.txt) and .deps/env.sh (sourced by the other scripts).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

readonly root=$PWD
readonly torch_requirement='torch==2.11.0' torch_minimum=2.11
readonly nvcc_requirement='cuda-toolkit[nvcc,cccl,crt,nvvm]==13.0.2' nvcc_pypi_major=13
readonly torch_gib=8 nvcc_gib=1
readonly packages=(libcxxopts-dev libspdlog-dev libyaml-cpp-dev nlohmann-json3-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev
  libzip-dev libgtest-dev libgmock-dev)
readonly cuda=${ELBO_CUDA:-AUTO}
case $cuda in AUTO | ON | OFF) ;; *) die "ELBO_CUDA is '$cuda', expected AUTO, ON or OFF" ;; esac

mkdir -p .deps
exec 9>.deps/lock
flock 9 2>/dev/null || true # two at a time would install into one .venv

as_root() { [[ $(id -u) == 0 ]]; }

need_disk() { # GIB WHAT
  local free
  free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
  ((free >= $1)) || die "$2 needs $1 GiB free in $root, there are $free. Make room, or point to a LibTorch with Torch_DIR."
}

# ---------------------------------------------------------------------------------------------- Debian's packages

apt_install() {
  local options=(-y -q --no-install-recommends -o DPkg::Lock::Timeout=300)
  export DEBIAN_FRONTEND=noninteractive
  apt-get "${options[@]}" install "$@" >.deps/apt.log 2>&1 && return
  say "the package lists are missing or stale: apt-get update"
  apt-get -q update >.deps/apt.log 2>&1 && apt-get "${options[@]}" install "$@" >>.deps/apt.log 2>&1 && return
  tail -n 20 .deps/apt.log >&2
  return 1
}

unpack_packages() {
  local debs deb link target found
  debs=$(mktemp -d "$root/.deps/debs.XXXXXX")
  download_debs "$debs" "$@" || die "apt-get could not download $*"
  mkdir -p .deps/root/usr/lib
  ln -sfn usr/lib .deps/root/lib # some packages still ship /lib
  for deb in "$debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C .deps/root
  done
  rm -rf "$debs"
  # A -dev package's link names the library beside it; where that came with the system, or the link is absolute, name it there.
  while IFS= read -r link; do
    target=$(basename "$(readlink "$link")")
    found=$(find .deps/root/usr/lib /usr/lib /lib -name "$target" -not -path "./$link" -print -quit 2>/dev/null)
    [[ -n $found ]] && ln -sfn "$(realpath "$found")" "$link"
  done < <(find .deps/root/usr/lib -xtype l)
  printf '%s\n' "$@" >>.deps/root/packages
}

set_up_packages() {
  local missing=() name
  if ! have apt-get || ! have dpkg-query; then
    say "libraries: no apt here. CMake looks for them and fetches what is missing (ELBO_FETCH; not tested by us)."
    fetch=ON
    return
  fi
  for name in "${packages[@]}"; do
    is_installed "$name" || grep -qsx "$name" .deps/root/packages || missing+=("$name")
  done
  if ((${#missing[@]} == 0)); then
    say "libraries: all there"
  elif as_root; then
    say "libraries: installing ${missing[*]}"
    apt_install "${missing[@]}" || die "apt-get could not install ${missing[*]}"
  else
    say "libraries: not root, so unpacking into .deps/root: ${missing[*]}"
    unpack_packages "${missing[@]}"
  fi
}

set_up_compiler() {
  local compiler=${CXX:-c++}
  if ! have "$compiler" && [[ -z ${CXX:-} ]] && as_root && have apt-get; then
    say "compiler: installing g++"
    apt_install g++ || die "apt-get could not install g++"
  fi
  have "$compiler" || die "no C++ compiler '$compiler'. Install g++ 12 or newer (Debian: apt install g++)."
  printf '#include <concepts>\n#include <span>\nstruct P { int x = 0; };\nint main() { return P{.x = 0}.x; }\n' |
    "$compiler" -std=c++20 -x c++ -fsyntax-only - || die "'$compiler' does not compile C++20. Install g++ 12 or newer, or set CXX."
  say "compiler: $("$compiler" --version | head -n 1)"
}

# ---------------------------------------------------------------------------------------------- Python's packages

make_venv() {
  [[ -x .venv/bin/python3 ]] && .venv/bin/python3 -m pip --version >/dev/null 2>&1 && return
  [[ ! -e .venv ]] || die "$root/.venv is broken (its Python does not run). Remove it and run this again."
  have python3 || { as_root && have apt-get && say "python3: installing" && apt_install python3 python3-venv; } ||
    die "no python3. Install Python 3.10 or newer (Debian: apt install python3 python3-venv)."
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "$(python3 --version) is too old, 3.10 or newer is needed"
  if ! python3 -c 'import ensurepip' 2>/dev/null; then # Debian ships it apart
    if as_root && have apt-get; then
      say "python3-venv: installing"
      apt_install python3-venv || die "apt-get could not install python3-venv"
    elif have apt-get; then
      say "python3-venv is not installed: taking pip from an unpacked package"
      unpack_packages python3-pip-whl
      python3 -m venv --without-pip .venv
      PYTHONPATH=$(echo .deps/root/usr/share/python-wheels/pip-*.whl) .venv/bin/python3 -m pip install -q pip
      return
    else
      die "python3 has no ensurepip: install your system's venv package"
    fi
  fi
  say "making $root/.venv"
  python3 -m venv .venv
}

pip_install() {
  mkdir -p .deps/tmp # not /tmp, which is small on some systems: the disk was checked here
  TMPDIR=$root/.deps/tmp .venv/bin/python3 -m pip install -q --disable-pip-version-check "$@" || die "pip could not install $*"
  rm -rf .deps/tmp
}

# ---------------------------------------------------------------------------------------------- LibTorch

is_libtorch() { [[ -e $1/lib/libtorch_cpu.so && -e $1/include/torch/csrc/api/include/torch/torch.h ]]; }

libtorch_version() {
  sed -nE 's/^#define TORCH_VERSION_(MAJOR|MINOR) ([0-9]+)$/\2/p' "$1/include/torch/headeronly/version.h" "$1/include/torch/version.h" \
    2>/dev/null | head -n 2 | paste -sd .
}

is_recent() { [[ $(printf '%s\n' "$torch_minimum" "$1" | sort -V | head -n 1) == "$torch_minimum" ]]; }

python_torch() { # PYTHON: the folder of its torch
  "$1" -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null || true
}

use_libtorch() { # FOLDER WHOSE: true if it will do
  [[ -n $1 ]] && is_libtorch "$1" || return 1
  local version
  version=$(libtorch_version "$1")
  if ! is_recent "$version"; then
    say "LibTorch: passing by $2, $version at $1: $torch_minimum or newer is needed"
    return 1
  fi
  libtorch=$(cd "$1" && pwd)
  say "LibTorch: $2, $version at $libtorch"
}

set_up_libtorch() {
  local prefix prefixes
  if [[ -n ${Torch_DIR:-} ]]; then
    use_libtorch "$Torch_DIR/../../.." Torch_DIR || use_libtorch "$Torch_DIR" Torch_DIR ||
      die "Torch_DIR=$Torch_DIR holds no LibTorch $torch_minimum or newer. Expected .../share/cmake/Torch of one."
    return
  fi
  IFS=':;' read -ra prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}"; do
    use_libtorch "$prefix" CMAKE_PREFIX_PATH && return
  done
  have python3 && use_libtorch "$(python_torch python3)" "the active Python's torch" && return
  use_libtorch "$(cat .deps/libtorch 2>/dev/null)" "the one of the last set-up" && return
  [[ -x .venv/bin/python3 ]] && use_libtorch "$(python_torch .venv/bin/python3)" "the project's .venv" && return
  need_disk "$torch_gib" "installing $torch_requirement"
  make_venv
  say "LibTorch: installing $torch_requirement into .venv: two to ten minutes, 5 GB"
  pip_install "$torch_requirement" numpy 'cmake>=4' ninja
  use_libtorch "$(python_torch .venv/bin/python3)" "the project's .venv" || die "torch was installed, but its LibTorch is not in .venv"
}

# ---------------------------------------------------------------------------------------------- build tools

is_cmake() { # PROGRAM
  have "$1" && [[ $("$1" --version 2>/dev/null | awk 'NR == 1 { print $3 }') =~ ^([0-9]+)\.([0-9]+) ]] &&
    ((BASH_REMATCH[1] > 3 || BASH_REMATCH[2] >= 25))
}

set_up_tools() {
  if is_cmake .venv/bin/cmake && [[ -x .venv/bin/ninja ]]; then
    tools=$root/.venv/bin
  elif is_cmake cmake && have ninja; then
    tools=
  else
    make_venv
    say "tools: installing cmake and ninja into .venv"
    pip_install 'cmake>=4' ninja
    tools=$root/.venv/bin
  fi
  say "tools: $("${tools:+$tools/}cmake" --version | head -n 1), ninja $("${tools:+$tools/}ninja" --version)"
}

# ---------------------------------------------------------------------------------------------- CUDA

nvcc_major() { "$1" --version 2>/dev/null | sed -nE 's/.*release ([0-9]+)\..*/\1/p'; }

set_up_cuda() {
  nvcc=
  local wanted candidate
  if [[ $cuda == OFF ]]; then
    say "CUDA plugin: left out (ELBO_CUDA=OFF)"
    return
  fi
  if [[ ! -e $libtorch/lib/libc10_cuda.so ]]; then
    [[ $cuda == AUTO ]] || die "ELBO_CUDA=ON, but the LibTorch at $libtorch is built without CUDA"
    say "CUDA plugin: left out, this LibTorch is built without CUDA"
    return
  fi
  wanted=$(readelf -d "$libtorch/lib/libc10_cuda.so" | sed -nE 's/.*\[libcudart[^]]*\.so\.([0-9]+).*/\1/p' | head -n 1)
  for candidate in "${CUDACXX:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc \
    "$(echo .venv/lib/python3*/site-packages/nvidia/cu*/bin/nvcc)"; do
    [[ -x $candidate && -n $(nvcc_major "$candidate") ]] || continue
    if [[ $(nvcc_major "$candidate") == "$wanted" ]]; then
      nvcc=$(realpath -s "$candidate")
      say "CUDA plugin: nvcc at $nvcc"
      return
    fi
    say "CUDA plugin: passing by $candidate, CUDA $(nvcc_major "$candidate"): LibTorch is built with $wanted"
  done
  if [[ $wanted != "$nvcc_pypi_major" ]]; then
    [[ $cuda == AUTO ]] || die "ELBO_CUDA=ON, but there is no nvcc of CUDA $wanted, which this LibTorch is built with"
    say "CUDA plugin: left out, there is no nvcc of CUDA $wanted. Install that toolkit and run this again."
    return
  fi
  need_disk "$nvcc_gib" "installing nvcc"
  make_venv
  say "CUDA plugin: no nvcc here, installing $nvcc_requirement into .venv"
  pip_install "$nvcc_requirement"
  candidate=$(echo .venv/lib/python3*/site-packages/nvidia/cu*/bin/nvcc)
  [[ -n $(nvcc_major "$candidate") ]] || die "nvcc was installed, but $candidate does not run"
  nvcc=$root/$candidate
}

# ---------------------------------------------------------------------------------------------- what the build reads

write_if_changed() { # FILE, content from standard input: an untouched file spares a new configure
  cat >"$1.new"
  if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

python_of_libtorch() {
  local candidate
  for candidate in .venv/bin/python3 "$(command -v python3 || true)"; do
    [[ -x $candidate && $(python_torch "$candidate") == "$libtorch" ]] && realpath -s "$candidate" && return
  done
}

write_settings() {
  local python
  python=$(python_of_libtorch || true)
  printf '%s\n' "$libtorch" | write_if_changed .deps/libtorch
  {
    echo "# Written by scripts/setup.sh. An explicit -D wins."
    echo "if(NOT DEFINED ELBO_LIBTORCH AND NOT DEFINED Torch_DIR)"
    echo "  set(ELBO_LIBTORCH \"$libtorch\")"
    echo "endif()"
    [[ $cuda == AUTO ]] || echo "set(ELBO_CUDA_SETUP $cuda)"
    if [[ -n $nvcc ]]; then
      echo "if(NOT DEFINED ELBO_NVCC)"
      echo "  set(ELBO_NVCC \"$nvcc\")"
      echo "endif()"
    fi
    [[ $fetch == OFF ]] || echo "set(ELBO_FETCH ON)"
    if [[ -e .deps/root/packages ]]; then
      echo "set(ELBO_UNPACKED \"$root/.deps/root/usr\")"
      echo "list(PREPEND CMAKE_PREFIX_PATH \${ELBO_UNPACKED})"
      echo "# Unpacked libraries find each other by the program's run path only if it is the old, inherited kind."
      echo "set(ELBO_UNPACKED_LINK_OPTIONS -Wl,--disable-new-dtags -Wl,-rpath-link,\${ELBO_UNPACKED}/lib/$(c++ -dumpmachine))"
      echo "add_link_options(\${ELBO_UNPACKED_LINK_OPTIONS})"
    fi
  } | write_if_changed .deps/settings.cmake
  {
    echo "# Written by scripts/setup.sh."
    [[ -z $python ]] || echo "export ELBO_PYTHON=\${ELBO_PYTHON:-$python}"
    [[ -z $tools ]] || echo "case :\$PATH: in *\":$tools:\"*) ;; *) export PATH=\"$tools:\$PATH\" ;; esac"
  } | write_if_changed .deps/env.sh
}

libtorch='' nvcc='' tools='' fetch=OFF
set_up_compiler
set_up_packages
set_up_libtorch
set_up_tools
set_up_cuda
write_settings
say "set-up done. Next: scripts/test.sh, scripts/quickstart.sh, or: source .deps/env.sh && cmake --preset release && cmake --build --preset release"
