"""An open search space: chains of operations of any length, which cannot be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasbench_eval.spaces.base import Network, uninitialised
from nasbench_example.chains import OPERATIONS, Chain, Stack


@dataclass(frozen=True)
class FreeChains:
    """Texts are such as `conv3x3-pool` and `conv1x1-skip-conv3x3-conv3x3-pool`.

    Attributes:
        channels: width C of the stem and the first stage; the second has 2C.
        cells_per_stage: chains N in each of the two stages.
        mean_length: mean length of the chains that are drawn, at least 1.
    """

    channels: int = 16
    cells_per_stage: int = 2
    mean_length: float = 3.0

    @property
    def name(self) -> str:
        return "free_chains"

    def parse(self, text: str) -> Chain:
        chain = tuple(text.strip().split("-"))
        for operation in chain:
            if operation not in OPERATIONS:
                raise ValueError(f"{text!r}: {operation!r} is none of {', '.join(OPERATIONS)}")
        return chain

    def format(self, arch: Chain) -> str:
        return "-".join(arch)

    def canonical(self, arch: Chain) -> Chain:
        """A skip does nothing: all of them go, unless there is nothing else."""
        return tuple(operation for operation in arch if operation != "skip") or ("skip",)

    def build(self, arch: Chain, *, num_classes: int) -> Network:
        return uninitialised(lambda: Stack(arch, self.channels, self.cells_per_stage, num_classes))

    def sample(self, rng: np.random.Generator) -> Chain:
        length = rng.geometric(1 / self.mean_length)
        return tuple(str(operation) for operation in rng.choice(OPERATIONS, length))

    def mutate(self, arch: Chain, rng: np.random.Generator) -> Chain:
        """Another operation at one place, or one more at the end."""
        place = int(rng.integers(len(arch) + 1))
        others = [operation for operation in OPERATIONS if arch[place : place + 1] != (operation,)]
        return (*arch[:place], str(rng.choice(others)), *arch[place + 1 :])

    def resized(self, *, channels: int | None, cells: int | None) -> FreeChains:
        return FreeChains(
            self.channels if channels is None else channels,
            self.cells_per_stage if cells is None else cells,
            self.mean_length,
        )
