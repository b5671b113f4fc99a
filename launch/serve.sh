#!/usr/bin/env bash
# Installs what a service needs, which is no JAX, into .venv-serve, once, and serves a bundle:
#   ./launch/serve.sh --bundle=FOLDER [--host=127.0.0.1] [--port=8000] [--api_key_file=FILE]
set -euo pipefail
# shellcheck source=launch/environment.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/environment.sh"

prepare_environment serve
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$venv/bin/python" -P -m jaxrec.main serve "$@"
