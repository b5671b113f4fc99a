#!/usr/bin/env bash
# Runs a command in N processes on this machine, as on N machines: ./launch/local.sh 4 train --config=...
# What follows N is jaxrec's. Installs what is needed into .venv, once. Ctrl-C and SIGTERM reach every
# process; the exit status is the worst of theirs.
#
#   JAXREC_PORT  where the processes meet, with the port below it; otherwise two that are free
#
# One process uses all CPUs or GPUs of a machine by itself: this is to try out what several do. With
# JAXREC_ACCELERATOR=cuda13 each process has the GPU of its number.
set -euo pipefail
# shellcheck source=launch/environment.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/environment.sh"

patience=15 # seconds that others have to end by themselves after the first did so badly

count="${1:-}"
if [[ ! "$count" =~ ^[1-9][0-9]*$ ]]; then
  fail "the first word is '$count'; expected the number of processes, as in ./launch/local.sh 4 train"
fi
shift
prepare_environment run
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

port="${JAXREC_PORT:-$("$venv/bin/python" -c '
import socket
while True:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        try:
            second.bind(("127.0.0.1", first.getsockname()[1] - 1))
        except OSError:
            continue
        print(first.getsockname()[1])
        break
')}"

pids=()
for ((number = 0; number < count; number++)); do
  if [[ "$(cat "$venv/jaxrec-accelerator" 2>/dev/null)" == cuda13 ]]; then
    export JAX_LOCAL_DEVICE_IDS="$number"
  fi
  "$venv/bin/python" -P -m jaxrec.main "$@" \
    --processes="$count" --process="$number" --coordinator="127.0.0.1:$port" &
  pids+=("$!")
done

signal_all() {
  local pid
  for pid in "${pids[@]}"; do kill "-$1" "$pid" 2>/dev/null || true; done
}
trap 'signal_all INT' INT
trap 'signal_all TERM' TERM

worst=0
deadline=''
left=("${pids[@]}")
while [[ ${#left[@]} -gt 0 ]]; do
  running=()
  for pid in "${left[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then
      running+=("$pid")
      continue
    fi
    status=0
    wait "$pid" || status=$?
    if [[ "$status" -gt "$worst" ]]; then worst="$status"; fi
  done
  left=(${running[@]+"${running[@]}"})
  if [[ "$worst" -gt 0 && -z "$deadline" ]]; then deadline=$((SECONDS + patience)); fi
  if [[ -n "$deadline" && "$SECONDS" -ge "$deadline" ]]; then signal_all KILL; fi # one that is stopped
  sleep 0.2
done
exit "$worst"
