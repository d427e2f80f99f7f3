#!/bin/sh
# What a GPU has to show, in 12 minutes: tests, golden records, costs, InTrain on every cell.
# `scripts/gpu_check.sh --help` explains it, scripts/gpu_check.py does it.
cd "$(dirname "$0")/.." || exit 2
[ -x .venv/bin/python ] && default=.venv/bin/python || default=python3
exec "${PYTHON:-$default}" scripts/gpu_check.py "$@"
