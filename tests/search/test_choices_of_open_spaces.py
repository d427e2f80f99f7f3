"""Policies on an open space whose architectures show some of their choices alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms._policy import Policy
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.algorithms.fp_nas import FPNAS
from nasbench_eval.search.algorithms.reinforce import Reinforce
from nasbench_eval.search.algorithms.tpe import TPE
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.guide import ByValue
from nasbench_eval.search.history import Past
from nasbench_eval.search.moves import moves_of
from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.spaces.open import known

GUIDE = ByValue(("x",))


def problem(seeds: int = 2) -> Problem:
    return Problem(moves_of(known(DARTS(), ())), GUIDE, seeds, 400)


def log_probability(policy: Policy, chosen: list[int], seed: int) -> float:
    """Of what an architecture shows, in words of its own."""
    total = 0.0
    for logits, choice in zip(policy.logits_SEC[seed], chosen, strict=True):
        if choice >= 0:
            there = logits[np.isfinite(logits)]
            total += float(there[choice] - np.log(np.exp(there).sum()))
    return total


def test_the_gradient_is_that_of_the_choices_that_are_shown() -> None:
    given = problem(1)
    policy = Policy(given, "reinforce")
    rng = np.random.default_rng(0)
    finite = np.isfinite(policy.logits_SEC)
    policy.logits_SEC[finite] = rng.normal(size=int(finite.sum()))
    policy.touch()
    arch = policy.sample(rng.random((1, policy.uniforms)))
    chosen = given.moves.encode(arch)[0].tolist()
    gradient = policy.gradient(arch)[0]
    for place in np.ndindex(gradient.shape):
        if not finite[0][place]:
            assert gradient[place] == 0
            continue
        sides = []
        for step in (1e-5, -1e-5):
            policy.logits_SEC[0][place] += step
            sides.append(log_probability(policy, chosen, 0))
            policy.logits_SEC[0][place] -= step
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-6)


@pytest.mark.parametrize(
    "algorithm", [Reinforce(learning_rate=0.3, reward="value"), FPNAS(learning_rate=2.0, reward="value")]
)
def test_what_is_rewarded_becomes_frequent(algorithm: Any) -> None:
    """A guide that counts separable convolutions."""
    given = problem()
    search, draws = algorithm.begin(given), Draws(0, range(2), algorithm.begin(given).uniforms)
    archs, told = np.zeros((0, 2), np.int64), np.zeros((0, 2, 1))
    for step in range(400):
        next_S = search.propose(Past(archs, told), draws.of(step))
        archs = np.concatenate([archs, next_S[None]])
        worth = [str(given.moves.arch(int(a))).count("sep3") for a in next_S]  # type: ignore[attr-defined]
        told = np.concatenate([told, np.array(worth, float)[None, :, None]])
    assert told[-50:].mean() > told[:50].mean() + 3
    answers = search.answer(Past(archs, told))
    assert all(str(given.moves.arch(int(a))).count("sep3") > 8 for a in answers)  # type: ignore[attr-defined]


def test_optuna_needs_all_choices() -> None:
    pytest.importorskip("optuna")
    with pytest.raises(UsageError, match="reinforce and fp_nas take this one"):
        TPE().begin(problem())
