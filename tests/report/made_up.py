"""What the made-up runs of these tests have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

N = 60
ARCHS = [f"|arch~{index}|" for index in range(N)]

WriteRun = Callable[..., Path]
