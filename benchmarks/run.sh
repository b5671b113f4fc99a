#!/usr/bin/env bash
# Makes the environments that a benchmark needs, once, and runs it:
#   ./benchmarks/run.sh compare --data=FOLDER [--out=FOLDER] [--rounds=5] ...
#   ./benchmarks/run.sh scaling [--out=FOLDER] ...
#   ./benchmarks/run.sh scale [--dim=64] [--layers=3] [--steps=1000] [--reached=0.5]
#   ./benchmarks/run.sh kernels [--out=FOLDER] [--edges=810128,10000000] ...
#   ./benchmarks/run.sh variants --config=configs/gowalla.py [--data=FOLDER] ...
#   ./benchmarks/run.sh rivals --config=configs/lastfm_lightgcn.py [--out=FOLDER] ...
#   ./benchmarks/run.sh fold_in --config=configs/gowalla.py [--data=FOLDER] ...
#   ./benchmarks/run.sh init_from --config=configs/gowalla.py [--data=FOLDER] ...
#   ./benchmarks/run.sh load --bundle=FOLDER --copy=FOLDER [--rate=200] ...
#   ./benchmarks/run.sh prepare --rows=25000000 [--kills=10] [--out=FOLDER] ...
#   ./benchmarks/run.sh datasets --data=FOLDER [--out=FOLDER] ...
#   ./benchmarks/run.sh by_time --data=FOLDER [--out=FOLDER] ...
#   ./benchmarks/run.sh aged_ranking --data=FILE ...
#   ./benchmarks/run.sh ranking --run=FOLDER ...
#
#   JAXREC_BENCH_VENVS  where the peers' environments go; otherwise ~/.cache/jaxrec-benchmarks
#   BENCH_PYTHON        the Python 3.11 to make them with; otherwise python3.11 or python3 on PATH
# and the variables of launch/environment.sh for jaxrec's own environment.
set -euo pipefail
# shellcheck source=launch/environment.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../launch/environment.sh"

# Prints a Python 3.11: the last that RecBole's dependencies have builds for.
find_peer_python() {
  local candidate
  for candidate in ${BENCH_PYTHON:+"$BENCH_PYTHON"} python3.11 python3; do
    if [[ "$(usable_version "$candidate")" == 3.11.* ]]; then
      printf '%s\n' "$candidate"
      return
    elif [[ "$candidate" == "${BENCH_PYTHON:-}" ]]; then
      fail "BENCH_PYTHON is '$BENCH_PYTHON'; expected a Python 3.11 with venv and pip"
    fi
  done
  fail "found no Python 3.11 for the peers; install one or name one as BENCH_PYTHON=/path/to/python3"
}

# Makes sure that environment $1 holds requirements-$1.txt.
prepare_peer() {
  local folder="$peers/$1" requirements="$root/benchmarks/requirements-$1.txt" python
  if cmp -s "$requirements" "$folder/jaxrec-installed" &&
    usable_version "$folder/bin/python" >/dev/null; then
    return
  fi
  if [[ -e "$folder" && ! -f "$folder/pyvenv.cfg" && -n "$(ls -A "$folder" 2>&1)" ]]; then
    fail "'$folder' exists and is not a virtual environment; remove it or set JAXREC_BENCH_VENVS"
  fi
  python="$(find_peer_python)"
  say "making $folder (once; this takes some minutes)"
  "$python" -m venv --clear "$folder" </dev/null || fail "could not make '$folder'"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    -r "$requirements" </dev/null || fail "could not install $requirements; the lines above say why"
  cp "$requirements" "$folder/jaxrec-installed"
}

case "${1:-}" in
  compare | scaling | scale | kernels | variants | rivals | datasets | by_time | aged_ranking | \
    ranking | fold_in | init_from | load | prepare)
    benchmark="$1" && shift
    ;;
  *)
    fail "the first word is '${1:-}'; expected compare, scaling, scale, kernels, variants, rivals," \
      "datasets, by_time, aged_ranking, ranking, fold_in, init_from, load or prepare"
    ;;
esac

prepare_environment run
peer_names=()
case "$benchmark" in
  compare) peer_names=(recbole torch implicit) ;;
  load) peer_names=(implicit) ;;
esac
if [[ ${#peer_names[@]} -gt 0 ]]; then
  peers="${JAXREC_BENCH_VENVS:-${XDG_CACHE_HOME:-$HOME/.cache}/jaxrec-benchmarks}"
  if [[ "$peers" != /* ]]; then peers="$PWD/$peers"; fi
  mkdir -p "$peers"
  for peer in "${peer_names[@]}"; do prepare_peer "$peer"; done
  set -- --environments="$peers" "$@"
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$venv/bin/python" -P -m "benchmarks.$benchmark" "$@"
