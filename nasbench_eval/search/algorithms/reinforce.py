"""REINFORCE: a distribution over architectures is moved towards those that were worth more than usual.

Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", 1992;
for architectures guided by training-free scores: Chen et al., "Understanding and Accelerating Neural
Architecture Search with Training-Free and Theory-Grounded Metrics" (TEG-NAS), section 3.3; guided by
accuracies: Dong et al., "NATS-Bench", 2021.

With P_θ of `_policy`, the reward r_t of trial t and a baseline b_t,

    θ ← θ + η · (r_t − b_t) · ∇_θ log P_θ(a_t).

TEG-NAS's paper and its code differ.  The paper is the default here; what its code does is in brackets:

* the step is plain gradient ascent with η = 0.04 (Adam with the same η);
* b_t = 0.9 b_{t−1} + 0.1 r_t, and b_0 = 0 (the same average divided by 1 − 0.9^t, so that it does not start
  low, and r_t enters before it is subtracted: the first update is none);
* r_t = Σ_v (x_v,t − x_v,t−1) / (max x_v − min x_v) over all that was told (over the last ten, plus 1e-6);
* the policy's most probable architecture is the answer (the best of those that were tried);
* the search stops when the entropy stops falling (never).

The paper does not say whether r_t enters the baseline before it is subtracted.  Here it enters after.  If it
entered before, each update would be 0.9 times what it is, as with a smaller η.  Nor does the paper say when
an entropy has stopped falling.  Here it has when it had no new minimum in `patience` updates.

Two things to know before choosing: with b_0 = 0 and rewards far from 0, such as accuracies in percent, the
first updates are large, and the policy may settle on an architecture that it tried early; `corrected` has no
such start.  And `stop` may end a search soon after such a start.

Where proposals are made before earlier ones were told, θ is what it was after those that were told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.search.algorithms._policy import Falling, Policy, Reward, Rewards, Stop
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.history import Numbers, Past, Values

_BETAS, _ADAM_EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Reinforce:
    """Gradient ascent on the expected reward.

    Attributes:
        optimizer: `sgd`, plain gradient ascent, or `adam` with β = (0.9, 0.999).
        learning_rate: step size η.
        baseline: `ema`: the moving average of the rewards before, from 0; or `corrected`: divided by
            1 − decay^t, and with the present reward in it.
        decay: how much of the average a new reward leaves.
        reward: `difference`: what a trial gained over the one before; `value`: what it was told, accuracies
            in percent; `auto`: the value if it is an accuracy in percent, else the difference.
        window: over how many of the last values a difference is normalised; null for all.
        epsilon: added to the range that a difference is divided by.
        derive: what is answered: the `policy`'s most probable architecture, or the best of `history`.
        stop: when a seed ends: with the `steps` alone (`none`), or when the policy's `entropy` has stopped
            falling.
        patience: how many updates without a new minimum of the entropy are the end.
    """

    info: ClassVar = AlgorithmInfo("reinforce", "Williams 1992; Chen et al. 2021 (TEG-NAS), section 3.3")
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.04
    baseline: Literal["ema", "corrected"] = "ema"
    decay: float = 0.9
    reward: Reward = "auto"
    window: int | None = None
    epsilon: float = 0.0
    derive: Literal["policy", "history"] = "policy"
    stop: Stop = "none"
    patience: int = 50

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError("learning_rate is above 0")
        if not 0 <= self.decay < 1:
            raise ValueError("decay is at least 0 and below 1")
        if self.window is not None and self.window < 2:
            raise ValueError("window is at least 2, or null for all")
        if self.epsilon < 0 or self.patience < 1:
            raise ValueError("epsilon is at least 0, and patience at least 1")

    def begin(self, problem: Problem) -> Search:
        return _Reinforce(problem, self)


class _Reinforce(Search):
    def __init__(self, problem: Problem, options: Reinforce) -> None:
        super().__init__(problem)
        self.options = options
        self._learner = _Learner(problem, options)
        # `answer` may be called ahead of `propose` or behind it, so that it needs a learner of its own.
        self._derived = _Learner(problem, options) if options.derive == "policy" else None
        self.uniforms = self._learner.policy.uniforms

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        learner = self._learner
        learner.read(past)
        archs_S = learner.policy.sample(u_SU)
        return np.where(learner.stopped_S, learner.policy.mode(), archs_S) if learner.any else archs_S

    @property
    def stopped_S(self) -> NDArray[np.bool_]:
        return self._learner.stopped_S

    def answer(self, past: Past) -> Numbers:
        if self._derived is None:
            return super().answer(past)
        self._derived.read(past)
        return self._derived.policy.mode()


class _Learner:
    """The policy after all that was told, and what its next update needs."""

    def __init__(self, problem: Problem, options: Reinforce) -> None:
        self.options = options
        self.policy = Policy(problem, options.info.name)
        self.stopped_S, self.any = np.zeros(problem.seeds, bool), False
        self._rewards = Rewards(problem, options.reward, options.window, options.epsilon)
        self._falling = Falling(problem.seeds, options.patience)
        self._average_S = np.zeros(problem.seeds)
        self._moments = np.zeros((2, *self.policy.logits_SEC.shape))
        self._read = 0

    def read(self, past: Past) -> None:
        for step in range(self._read, past.told):
            self._learn(past.archs_TS[step], past.values_TSV[step])
        self._read = max(self._read, past.told)

    def _learn(self, archs_S: Numbers, told_SV: Values) -> None:
        self._read += 1
        advantage_S = self._advantage(self._rewards.next(told_SV))
        gradient_SEC = advantage_S[:, None, None] * self.policy.gradient(archs_S)
        change_SEC = self._adam(gradient_SEC) if self.options.optimizer == "adam" else gradient_SEC
        if self.any:
            change_SEC = np.where(self.stopped_S[:, None, None], 0, change_SEC)
        self.policy.logits_SEC += self.options.learning_rate * change_SEC
        self.policy.touch()
        if self.options.stop == "entropy":
            self.stopped_S = self.stopped_S | self._falling.ended(self.policy.entropy(), ~self.stopped_S)
            self.any = bool(self.stopped_S.any())

    def _advantage(self, reward_S: Values) -> Values:
        decay, before_S = self.options.decay, self._average_S
        self._average_S = decay * before_S + (1 - decay) * reward_S
        if self.options.baseline == "ema":
            return reward_S - before_S
        return reward_S - self._average_S / (1 - decay**self._read)

    def _adam(self, gradient_SEC: Values) -> Values:
        """The change that Adam makes of a gradient, before the learning rate."""
        for moment_SEC, beta, power in zip(self._moments, _BETAS, (1, 2), strict=True):
            moment_SEC *= beta
            moment_SEC += (1 - beta) * gradient_SEC**power
        mean_SEC, square_SEC = (
            moment / (1 - beta**self._read) for moment, beta in zip(self._moments, _BETAS, strict=True)
        )
        change_SEC: Values = mean_SEC / (np.sqrt(square_SEC) + _ADAM_EPSILON)
        return change_SEC


ALGORITHM = Reinforce
