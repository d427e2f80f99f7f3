"""A distribution over architectures, one for each seed, and what is common to those who learn it.

Each of an architecture's E choices is drawn for itself, from the softmax of its logits θ:

    P(a) = ∏_e softmax(θ_e)[a_e],    ∂ log P(a) / ∂θ_ec = 1[a_e = c] − softmax(θ_e)[c],
    H = − Σ_e Σ_c softmax(θ_e)[c] · log softmax(θ_e)[c].

All start at θ = 0, the uniform distribution.  (TEG-NAS's code starts at 0.001 times normal numbers, which
changes a probability by a thousandth of its value.)

An architecture may show some of its choices alone: a genotype of the DARTS space has the operations of eight
edges of a cell, and not those of the six that it leaves out.  Then P(a) is the product over the choices that
it shows, and the others' gradient is 0.  H is summed over all choices.

Sums run along their axis one number after another, because NumPy's own may add in an order that depends on
how many seeds run beside: a seed's numbers must not.

Shape legend: S seeds, E choices of an architecture, C alternatives of a choice (as many as the largest has),
V values told of an architecture.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.history import Numbers, Values

Reward = Literal["auto", "value", "difference"]
Stop = Literal["none", "entropy"]


class Policy:
    """The distributions of all seeds.

    Args:
        problem: what is searched.
        name: of the algorithm, for the message.

    Attributes:
        logits_SEC: θ; −inf where a choice has fewer alternatives than C.

    Raises:
        UsageError: if the space's architectures are no lists of choices.
    """

    def __init__(self, problem: Problem, name: str) -> None:
        self._moves = problem.moves
        if not self._moves.choices:
            raise UsageError(
                f"algorithm={name} needs a space whose architectures are lists of choices, as nasbench201; "
                "random, regularized_evolution and local_search take any"
            )
        self._counts_E = np.array(self._moves.choices)
        open_EC = np.arange(self._counts_E.max()) < self._counts_E[:, None]
        self.logits_SEC = np.repeat(np.where(open_EC, 0.0, -np.inf)[None], problem.seeds, 0)
        self.touch()

    @property
    def uniforms(self) -> int:
        """How many uniform numbers a draw takes."""
        return len(self._counts_E)

    def touch(self) -> None:
        """Compute the probabilities anew, after the logits have changed."""
        weights_SEC = np.exp(self.logits_SEC - self.logits_SEC.max(-1, keepdims=True))
        self._cumulated_SEC = weights_SEC.cumsum(-1)
        self._total_SE1 = self._cumulated_SEC[..., -1:]
        self.probabilities_SEC = weights_SEC / self._total_SE1

    def sample(self, u_SE: Values) -> Numbers:
        """An architecture of each seed."""
        passed_SEC = u_SE[..., None] * self._total_SE1 >= self._cumulated_SEC
        choices_SE = np.minimum(passed_SEC.sum(-1), self._counts_E - 1)
        return self._moves.decode(choices_SE)

    def mode(self) -> Numbers:
        """The most probable architecture of each seed; of equal alternatives the first."""
        return self._moves.decode(self.logits_SEC.argmax(-1))

    def gradient(self, archs_S: Numbers) -> Values:
        """∂ log P / ∂θ of one architecture of each seed, shape (S, E, C)."""
        choices_SE = self._moves.encode(archs_S)
        chosen_SEC = choices_SE[..., None] == np.arange(self.logits_SEC.shape[-1])
        shown_SE1 = choices_SE[..., None] >= 0
        gradient_SEC: Values = np.where(shown_SE1, chosen_SEC - self.probabilities_SEC, 0)
        return gradient_SEC

    def entropy(self) -> Values:
        """H in nats, summed over the choices, shape (S,)."""
        p_SEC = self.probabilities_SEC
        terms_SEC = -p_SEC * np.log(np.where(p_SEC > 0, p_SEC, 1))
        total: Values = terms_SEC.cumsum(-1)[..., -1].cumsum(-1)[..., -1]
        return total


class Rewards:
    """What a trial is worth to a learner, from what the guide told of it and of those before.

    `value`: the number that was told.  `difference`, as in TEG-NAS:

        r_t = Σ_v (x_v,t − x_v,t−1) / (max x_v − min x_v)

    over the values v that the guide tells.  Where max = min a value adds 0, also at the first trial.
    A failure, told as a number that is not finite, counts as the worst of that value so far.

    Args:
        problem: what is searched.
        kind: `value`, `difference`, or `auto`: the value if it is an accuracy in percent.
        window: over how many of the last values, with the present one, max and min are taken; None for all.
        epsilon: what is added to max − min.

    Raises:
        UsageError: if `value` is asked for, and the guide tells several.
    """

    def __init__(self, problem: Problem, kind: Reward, window: int | None, epsilon: float) -> None:
        judge = problem.judge
        self._value = kind == "value" or (kind == "auto" and judge.percent)
        if self._value and len(judge.values) > 1:
            raise UsageError(
                f"reward=value needs a guide of one value, and this one tells {len(judge.values)}: "
                f"{', '.join(judge.values)}; reward=difference takes several"
            )
        shape = (problem.seeds, len(judge.values))
        self._epsilon = epsilon
        self._worst_SV = np.full(shape, np.nan)
        self._before_SV = np.full(shape, np.nan)
        self._low_SV, self._high_SV = np.full(shape, np.nan), np.full(shape, np.nan)
        self._last_WSV = np.full((window, *shape), np.nan) if window else None
        self._read = 0

    def next(self, told_SV: Values) -> Values:
        """The reward of the next trial, shape (S,)."""
        finite_SV = np.isfinite(told_SV)
        self._worst_SV = np.where(finite_SV, np.fmin(self._worst_SV, told_SV), self._worst_SV)
        now_SV = np.where(finite_SV, told_SV, self._worst_SV)
        if self._value:
            reward_S: Values = np.where(np.isnan(now_SV[:, 0]), 0, now_SV[:, 0])
            return reward_S
        low_SV, high_SV = self._range(now_SV)
        step_SV, span_SV = now_SV - self._before_SV, high_SV - low_SV + self._epsilon
        with np.errstate(divide="ignore", invalid="ignore"):
            terms_SV = step_SV / span_SV
        self._before_SV = now_SV
        total: Values = np.where(np.isfinite(terms_SV), terms_SV, 0).cumsum(-1)[:, -1]
        return total

    def _range(self, now_SV: Values) -> tuple[Values, Values]:
        if self._last_WSV is None:
            self._low_SV, self._high_SV = np.fmin(self._low_SV, now_SV), np.fmax(self._high_SV, now_SV)
            return self._low_SV, self._high_SV
        self._last_WSV[self._read % len(self._last_WSV)] = now_SV
        self._read += 1
        low_SV: Values = np.fmin.reduce(self._last_WSV)
        high_SV: Values = np.fmax.reduce(self._last_WSV)
        return low_SV, high_SV


class Falling:
    """Tells when an entropy has stopped falling: no new minimum in so many updates.

    Args:
        seeds: how many searches run in lockstep.
        patience: how many updates without a new minimum end a search.
    """

    def __init__(self, seeds: int, patience: int) -> None:
        self._patience = patience
        self._lowest_S, self._since_S = np.full(seeds, np.inf), np.zeros(seeds, np.int64)

    def ended(self, entropy_S: Values, updated_S: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether the entropy has stopped falling, after an update of some of the seeds."""
        lower_S = updated_S & (entropy_S < self._lowest_S)
        self._lowest_S = np.where(lower_S, entropy_S, self._lowest_S)
        self._since_S = np.where(lower_S, 0, self._since_S + updated_S)
        ended_S: NDArray[np.bool_] = self._since_S >= self._patience
        return ended_S
