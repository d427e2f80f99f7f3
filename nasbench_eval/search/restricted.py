"""Moves that keep to some of a space's architectures.

Shape legend: … any shape, M members, Q architectures that are none, T traits that they are compared by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.search.history import Numbers, Values
from nasbench_eval.search.moves import Moves
from nasbench_eval.search.numbered import Numbered, pick


class Restricted(Numbered):
    """Moves within some of a space's architectures, where a guide knows no others.

    A move that would lead out goes to one of the nearest members instead: those that differ in the fewest
    traits from where it would have led, and are not where it came from.

    Args:
        moves: of the whole space, whose architectures can be compared.
        members: the numbers of the architectures that remain.

    Raises:
        UsageError: if they cannot be compared.
    """

    def __init__(self, moves: Moves, members: Sequence[int]) -> None:
        self.moves = moves
        self.members = np.unique(np.asarray(members, np.int64))
        self.for_sample, self.for_mutate = 1, moves.for_mutate + 1
        try:
            self._traits_MT = moves.traits(self.members)
        except UsageError as error:
            raise UsageError(f"a search cannot keep to some architectures here: {error}") from error

    @property
    def choices(self) -> tuple[int, ...]:
        return self.moves.choices

    def sample(self, u: Values) -> Numbers:
        archs: Numbers = self.members[pick(u[..., 0], len(self.members))]
        return archs

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        return self._nearest(self.moves.mutate(archs, u[..., :-1]), u[..., -1], archs)

    def neighbours(self, arch: int) -> Numbers:
        differ = self._distance(arch)
        others = differ > 0
        near: Numbers = self.members[
            others & (differ == differ[others].min(initial=self._traits_MT.shape[1]))
        ]
        return near

    def encode(self, archs: Numbers) -> Numbers:
        return self.moves.encode(archs)

    def decode(self, choices: Numbers) -> Numbers:
        meant = self.moves.decode(choices)
        return self._nearest(meant, np.zeros(meant.shape), np.full(meant.shape, -1))

    def _nearest(self, meant: Numbers, u: Values, origin: Numbers) -> Numbers:
        """Members in the place of architectures that are none: one of the nearest, but not the origin."""
        found = meant.copy()
        outside = ~np.isin(meant, self.members)
        if not outside.any():
            return found
        traits_QT = self.moves.traits(meant[outside])
        differ_QM = (traits_QT[:, None] != self._traits_MT).sum(-1)
        differ_QM[origin[outside][:, None] == self.members] = np.iinfo(np.int64).max
        nearest_QM = differ_QM == differ_QM.min(1, keepdims=True)
        place_Q = pick(u[outside] * nearest_QM.sum(1), 1)  # which of them, counted from the first
        found[outside] = self.members[(nearest_QM.cumsum(1) == place_Q[:, None] + 1).argmax(1)]
        return found

    def _distance(self, arch: int) -> Numbers:
        """In how many traits each member differs from an architecture."""
        differ: Numbers = (self._traits_MT != self.moves.traits(np.array(arch))).sum(1)
        return differ
