#!/usr/bin/env bash
# Installs what the tests need into .venv, once, and runs them: ./launch/test.sh tests/report -q
# Paths are relative to the repository.
set -euo pipefail
# shellcheck source=launch/environment.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/environment.sh"

prepare_environment dev
cd "$root"
exec "$venv/bin/python" -m pytest "$@"
