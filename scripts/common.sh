# shellcheck shell=bash
# Sourced by the other scripts: messages, and Debian packages without being root.

say() { printf -- '-- %s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# compile_jobs: a compiler a core, whatever OMP_NUM_THREADS says (nproc would obey it), while memory has two gigabytes for each.
compile_jobs() {
  local cores room
  cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
  room=$(awk '/^MemAvailable:/ { print int($2 / 2097152) }' /proc/meminfo 2>/dev/null)
  ((${room:-$cores} >= 1)) || room=1
  echo $((${room:-$cores} < cores ? room : cores))
}

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# apt_private DIR: fills apt_options so that apt-get keeps its lists and its cache in DIR, which needs no rights.
apt_private() {
  mkdir -p "$1/state/lists/partial" "$1/cache/archives/partial"
  apt_options=(-o "Dir::State=$1/state" -o "Dir::Cache=$1/cache" -o Dir::State::status=/var/lib/dpkg/status
    -o Debug::NoLocking=1 -o "APT::Sandbox::User=$(id -un)")
}

# try_download_debs DIR PACKAGE...: the packages, and what they need that this system lacks, as .deb files in DIR.
try_download_debs() {
  local into=$1 plan names
  shift
  plan=$(LC_ALL=C apt-get -s "${apt_options[@]}" --no-install-recommends install "$@") || return 1
  readarray -t names < <(awk '/^Inst / { print $2 }' <<<"$plan")
  ((${#names[@]})) || return 1
  (cd "$into" && apt-get -q "${apt_options[@]}" download "${names[@]}")
}

# download_debs DIR PACKAGE...: by the system's package lists or, where those are missing or stale, by our own in .deps/apt.
download_debs() {
  local apt_options=()
  mkdir -p "$1" .deps
  try_download_debs "$@" >.deps/apt.log 2>&1 && return
  say "the system's package lists are missing or stale: fetching our own into .deps/apt"
  apt_private "$PWD/.deps/apt"
  if ! { apt-get -q "${apt_options[@]}" update && try_download_debs "$@"; } >.deps/apt.log 2>&1; then
    tail -n 20 .deps/apt.log >&2
    return 1
  fi
}
