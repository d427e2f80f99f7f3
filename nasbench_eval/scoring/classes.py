"""Classes of isomorphic architectures: which architecture is scored in whose place."""

from __future__ import annotations

from collections.abc import Iterable

from nasbench_eval.spaces.base import SearchSpace


def representatives(space: SearchSpace, indices: Iterable[int]) -> dict[int, int]:
    """For each architecture the one that stands for its class, `space.canonical`; both by index.

    It is the same whichever architectures are asked for, so that the scores of a sample are those of a larger
    one; it need not be in the sample itself.
    """
    found = {}
    positions: dict[str, int] = {}
    for index in indices:
        arch = space.arch(index)
        canonical = space.canonical(arch)
        # Made only where two architectures are isomorphic, which none of NAS-Bench-101's 423,624 are.
        if canonical != arch and not positions:
            positions = {space.format(space.arch(i)): i for i in range(len(space))}
        found[index] = index if canonical == arch else positions[space.format(canonical)]
    return found
