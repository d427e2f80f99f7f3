"""How long a command takes before it has done anything: seconds by the clock."""

from __future__ import annotations

import statistics
from typing import Any

from benchmark.processes import command_seconds


def startup(repeats: int) -> dict[str, Any]:
    """Median seconds of `--help`, and of one cell's first score with InTrain at its defaults."""
    commands = {"help": ("--help",), "first_score": ("proxy=intrain", "n=1", "device=cpu")}
    taken = {
        f"{name}_seconds": statistics.median(command_seconds(*command) for _ in range(repeats))
        for name, command in commands.items()
    }
    return {"repeats": repeats, **taken}
