#!/usr/bin/env bash
# Installs what is needed into .venv, once, and trains: ./launch/train.sh --config.epochs=20
# Other commands and configs go the same way: ./launch/train.sh recommend --workdir=models
set -euo pipefail
# shellcheck source=launch/environment.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/environment.sh"

prepare_environment run

# The caller's folder stays current, so that relative paths mean what they say; -P keeps that
# folder from hiding a module.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$venv/bin/python" -P -m jaxrec.main "$@"
