"""FP-NAS with TEG-NAS's reward: a distribution is made more probable for a set's better members.

Yan et al., "FP-NAS: Fast Probabilistic Neural Architecture Search", CVPR 2021, on which Chen et al.,
"Understanding and Accelerating Neural Architecture Search with Training-Free and Theory-Grounded Metrics"
(TEG-NAS), section 3.3, put their reward.  From P_θ of `_policy` a set of n architectures is drawn, and

    n = max(2, ⌈λ H⌉),    w = softmax(r_1, …, r_n),    θ ← θ + η · Σ_i w_i · ∇_θ log P_θ(a_i).

So sets are larger while the distribution is wide.  λ = 0.25 and η = 0.1 are TEG-NAS's, as is the answer, the
most probable architecture.  No code of it is public, and the paper leaves open what follows.  Here H is the
entropy in nats, summed over the choices: 6 · log 5 = 9.66 for NAS-Bench-201, a set of three.  A set has two
members at least, since the weight of a single one would be 1 whatever it was worth.  Each set is followed by
one update.  A reward that is a difference is taken to the trial before, in the same set or the one before.

Seeds run in lockstep a trial at a time, though their sets may differ in size.  Where proposals are made
before a set was told, they are drawn from the distribution as it is, and are members of the next sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.search.algorithms._policy import Falling, Policy, Reward, Rewards, Stop
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class FPNAS:
    """Weighted maximum likelihood on sets whose size follows the entropy.

    Attributes:
        samples_per_nat: λ, how many architectures a set has for each nat of entropy.
        learning_rate: step size η.
        reward: `difference`: what a trial gained over the one before; `value`: what it was told, accuracies
            in percent; `auto`: the value if it is an accuracy in percent, else the difference.
        window: over how many of the last values a difference is normalised; null for all.
        epsilon: added to the range that a difference is divided by.
        stop: when a seed ends: with the `steps` alone (`none`), or when the `entropy` has stopped falling.
        patience: how many updates without a new minimum of the entropy are the end.
    """

    info: ClassVar = AlgorithmInfo("fp_nas", "Yan et al. 2021; Chen et al. 2021 (TEG-NAS), section 3.3")
    samples_per_nat: float = 0.25
    learning_rate: float = 0.1
    reward: Reward = "auto"
    window: int | None = None
    epsilon: float = 0.0
    stop: Stop = "none"
    patience: int = 50

    def __post_init__(self) -> None:
        if not (self.samples_per_nat > 0 and self.learning_rate > 0):
            raise ValueError("samples_per_nat and learning_rate are above 0")
        if self.window is not None and self.window < 2:
            raise ValueError("window is at least 2, or null for all")
        if self.epsilon < 0 or self.patience < 1:
            raise ValueError("epsilon is at least 0, and patience at least 1")

    def begin(self, problem: Problem) -> Search:
        return _FPNAS(problem, self)


class _FPNAS(Search):
    def __init__(self, problem: Problem, options: FPNAS) -> None:
        super().__init__(problem)
        # `answer` may be called ahead of `propose` or behind it, so that it needs a learner of its own.
        self._learner, self._derived = _Learner(problem, options), _Learner(problem, options)
        self.uniforms = self._learner.policy.uniforms

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        learner = self._learner
        learner.read(past)
        archs_S = learner.policy.sample(u_SU)
        return np.where(learner.stopped_S, learner.policy.mode(), archs_S)

    @property
    def stopped_S(self) -> NDArray[np.bool_]:
        return self._learner.stopped_S

    def answer(self, past: Past) -> Numbers:
        self._derived.read(past)
        return self._derived.policy.mode()


class _Learner:
    """The distribution after all that was told, and the set that is being told (K places, `count` taken)."""

    def __init__(self, problem: Problem, options: FPNAS) -> None:
        self.options = options
        self.policy = Policy(problem, options.info.name)
        self.stopped_S = np.zeros(problem.seeds, bool)
        self._rewards = Rewards(problem, options.reward, options.window, options.epsilon)
        self._falling = Falling(problem.seeds, options.patience)
        widest = sum(log(count) for count in problem.moves.choices)
        places = max(2, ceil(options.samples_per_nat * widest * (1 + 1e-9)))
        self._archs_KS = np.zeros((places, problem.seeds), np.int64)
        self._reward_KS = np.full((places, problem.seeds), -np.inf)
        self._count_S = np.zeros(problem.seeds, np.int64)
        self._size_S = self._sizes()
        self._seeds_S = np.arange(problem.seeds)
        self._read = 0

    def read(self, past: Past) -> None:
        for step in range(self._read, past.told):
            self._learn(past.archs_TS[step], past.values_TSV[step])
        self._read = max(self._read, past.told)

    def _sizes(self) -> Numbers:
        # An entropy may be above its exact maximum in the last digit, and a size must not be for that.
        wide_S = np.ceil(self.options.samples_per_nat * self.policy.entropy() * (1 - 1e-12))
        return np.maximum(2, wide_S).astype(np.int64)

    def _learn(self, archs_S: Numbers, told_SV: Values) -> None:
        self._archs_KS[self._count_S, self._seeds_S] = archs_S
        self._reward_KS[self._count_S, self._seeds_S] = self._rewards.next(told_SV)
        self._count_S += 1
        full_S = (self._count_S >= self._size_S) & ~self.stopped_S
        self._count_S %= self._size_S
        if not full_S.any():
            return
        weight_KS = np.exp(self._reward_KS - self._reward_KS.max(0))
        weight_KS /= weight_KS.cumsum(0)[-1]
        change_SEC = np.zeros_like(self.policy.logits_SEC)
        for archs_S, weight_S in zip(self._archs_KS, weight_KS, strict=True):
            change_SEC += weight_S[:, None, None] * self.policy.gradient(archs_S)
        self.policy.logits_SEC += self.options.learning_rate * np.where(full_S[:, None, None], change_SEC, 0)
        self.policy.touch()
        self._reward_KS[:, full_S] = -np.inf
        self._size_S = np.where(full_S, self._sizes(), self._size_S)
        if self.options.stop == "entropy":
            self.stopped_S = self.stopped_S | self._falling.ended(self.policy.entropy(), full_S)


ALGORITHM = FPNAS
