# Sourced by the scripts beside it: finds Python, makes the virtual environment and installs the
# requirements into it, once. Written for bash 3.2 and later.
#
#   PYTHON              the Python to use; otherwise the newest one on PATH that can serve
#   JAXREC_VENV         the folder of the virtual environment; otherwise .venv in the repository
#   JAXREC_ACCELERATOR  the build of jax: cpu, cuda13 or tpu; otherwise what the environment was
#                       made with, and cpu for a new one

# shellcheck shell=bash

root="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)"

say() { printf 'jaxrec: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 2
}

# Prints the version of the Python $1, or fails where it can't make an environment.
usable_version() {
  "$1" -c '
import sys
assert sys.version_info >= (3, 11)
import ensurepip, venv
print("%d.%d.%d" % sys.version_info[:3])
' 2>/dev/null </dev/null
}

# Prints the Python to make an environment with.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
    if usable_version "$candidate" >/dev/null; then
      printf '%s\n' "$candidate"
      return
    elif [[ "$candidate" == "${PYTHON:-}" ]]; then
      fail "PYTHON is '$PYTHON'; expected a Python 3.11 or newer with venv and pip"
    fi
  done
  fail "found no Python 3.11 or newer with venv and pip; install one (on Debian and Ubuntu:" \
    "apt install python3 python3-venv) or name one as PYTHON=/path/to/python3"
}

# Makes the environment from nothing, for the accelerator $1. Empties no other kind of folder.
make_environment() {
  local python
  python="$(find_python)"
  if [[ -e "$venv" && ! -f "$venv/pyvenv.cfg" && -n "$(ls -A "$venv" 2>&1)" ]]; then
    fail "'$venv' exists and is not a virtual environment; remove it or set JAXREC_VENV"
  fi
  say "making $venv with Python $(usable_version "$python") for $1"
  "$python" -m venv --clear "$venv" </dev/null || fail "could not make '$venv'"
  printf '%s\n' "$1" >"$venv/jaxrec-accelerator"
}

# Makes sure that the environment holds requirements.txt ($1 = run) or also requirements-dev.txt
# ($1 = dev), or one of its own requirements-serve.txt ($1 = serve). Sets `venv`. Installs nothing,
# and needs no network, where nothing has changed.
prepare_environment() {
  local python='' version made_for accelerator wanted stamp first="requirements.txt" requirements
  local folder="$root/.venv"
  requirements="$first"
  case "$1" in
    dev) requirements="requirements-dev.txt" ;;
    serve) first="requirements-serve.txt" requirements="$first" folder="$root/.venv-serve" ;;
  esac
  venv="${JAXREC_VENV:-$folder}"
  if [[ "$venv" != /* ]]; then venv="$PWD/$venv"; fi
  if [[ -n "${PYTHON:-}" ]]; then python="$(find_python)"; fi

  made_for="$(cat "$venv/jaxrec-accelerator" 2>/dev/null || true)"
  accelerator="${JAXREC_ACCELERATOR:-${made_for:-cpu}}"
  if [[ "$1" == serve ]]; then accelerator=cpu; fi # there is no JAX in it
  case "$accelerator" in
    cpu | cuda13 | tpu) ;;
    *) fail "JAXREC_ACCELERATOR is '$accelerator'; expected cpu, cuda13 or tpu" ;;
  esac

  # A build of jax can't be exchanged in place: the plugin of the old one would stay behind.
  version="$(usable_version "$venv/bin/python" || true)"
  if [[ -z "$version" || "${made_for:-$accelerator}" != "$accelerator" ]] ||
    [[ -n "$python" && "$(usable_version "$python")" != "$version" ]]; then
    make_environment "$accelerator"
    version="$(usable_version "$venv/bin/python")"
  fi

  stamp="$venv/jaxrec-installed"
  wanted="# Python $version, $accelerator"$'\n'"$(cat "$root/$first")"$'\n'
  if [[ "$1" == dev ]]; then wanted+="$(cat "$root/$requirements")"$'\n'; fi
  # What the tests need begins with what a run needs, so that after test.sh train.sh is ready too.
  if [[ "$(cat "$stamp" 2>/dev/null)"$'\n' == "$wanted"* ]]; then return; fi

  # The stamp goes first and comes back last: an installation that was cut short is done again.
  rm -f "$stamp"
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then make_environment "$accelerator"; fi
  say "installing $requirements (once; this takes some minutes)"
  set -- -r "$root/$requirements"
  if [[ "$accelerator" != cpu ]]; then set -- "$@" "jax[$accelerator]"; fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" </dev/null ||
    fail "could not install $requirements; the lines above say why"
  printf '%s\n' "$accelerator" >"$venv/jaxrec-accelerator"
  printf '%s' "$wanted" >"$stamp.partial"
  mv "$stamp.partial" "$stamp"
}
