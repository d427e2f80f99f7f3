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
    for index in indices:
        arch = space.arch(index)
        canonical = space.canonical(arch)
        found[index] = index if canonical == arch else space.index(canonical)
    return found
