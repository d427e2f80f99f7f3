"""What scoring costs: the command behind `make bench`; `--help` explains it, `scripts/benchmark` does it."""

from __future__ import annotations

import sys

from benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main())
