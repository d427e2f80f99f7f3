"""Undisturbed runs to compare with, and commands that do not outlive their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disturbed import Command


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    """Starts a command (see `Command`)."""
    started = []

    def start(*arguments: Any, **options: Any) -> Command:
        started.append(Command(*arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The folder of a run of so many cells to which nothing happened."""
    made: dict[int, Path] = {}

    def run(cells: int) -> Path:
        if cells not in made:
            folder = tmp_path_factory.mktemp(f"undisturbed{cells}")
            command = Command(folder, f"n={cells}", "workers=0")
            assert command.end() == 0, command.said
            made[cells] = folder / "results" / "mine"
        return made[cells]

    return run
