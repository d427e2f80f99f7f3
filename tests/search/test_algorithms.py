"""Algorithms against something independent of their code: ten lines, a closed form, finite differences."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from lockstep import CELLS, MOVES, landscape, late, play, spread

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms._policy import Policy, Rewards
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.algorithms.fp_nas import FPNAS
from nasbench_eval.search.algorithms.local_search import LocalSearch
from nasbench_eval.search.algorithms.regularized_evolution import RegularizedEvolution
from nasbench_eval.search.algorithms.reinforce import Reinforce
from nasbench_eval.search.algorithms.successive_halving import SuccessiveHalving
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.guide import ByRanks, ByValue
from nasbench_eval.search.history import Past, Values

ONE = ByValue(("value",))
PERCENT = ByValue(("value",), percent=True)
SEVERAL = ByRanks(("a", "b", "c"))


def tables(values: int, seeds: int = 3) -> Values:
    rng = np.random.default_rng(2)
    table = np.round(landscape()[:, None] + 8 * rng.standard_normal((CELLS, values)))
    return np.broadcast_to(table, (seeds, CELLS, values))


@pytest.mark.parametrize("ranks", [False, True])
@pytest.mark.parametrize("replacement", [True, False])
def test_regularized_evolution_is_algorithm_1_of_its_paper(replacement: bool, ranks: bool) -> None:
    told = tables(3 if ranks else 1)
    algorithm = RegularizedEvolution(population=20, sample=6, replacement=replacement)
    played = play(algorithm, Problem(MOVES, SEVERAL if ranks else ONE, 3, 200), told, range(3))
    uniforms = max(6, (6 if replacement else 20) + 3)
    draws = Draws(0, range(3), uniforms)
    for seed in range(3):
        # The ten lines: a queue of numbers, one seed, no arrays.
        queue: list[int] = []
        for step in range(200):
            u = draws.of(step)[seed]
            if step < 20:
                child = int(MOVES.decode(np.array([int(5 * each) for each in u[:6]])))
            else:
                places = [int(20 * each) for each in u[:6]]
                if not replacement:
                    places = np.argsort(u[:20])[:6].tolist()
                sample = [queue[place] for place in places]
                columns = [[told[0, cell, v] for cell in sample] for v in range(told.shape[2])]
                less = [[sum(y < x for y in c) + sum(y == x for y in c) / 2 for x in c] for c in columns]
                total = [sum(each) for each in zip(*(less if ranks else columns), strict=True)]
                parent = MOVES.encode(np.array(sample[total.index(max(total))]))
                edge, other = int(6 * u[-3]), int(4 * u[-1])
                parent[edge] = (parent[edge] + 1 + other) % 5
                child = int(MOVES.decode(parent))
            queue = [*queue, child][-20:]
            assert child == played.archs_TS[step, seed]


def policy(logits: Values) -> Policy:
    made = Policy(Problem(MOVES, ONE, len(logits), 10), "reinforce")
    made.logits_SEC[:] = logits
    made.touch()
    return made


def log_probability(logits_EC: Values, arch: int) -> float:
    choices = MOVES.encode(np.array(arch))
    return sum(
        float(row[c]) - math.log(sum(map(math.exp, row))) for row, c in zip(logits_EC, choices, strict=True)
    )


def test_a_policy_s_gradient_is_that_of_finite_differences() -> None:
    logits = np.random.default_rng(0).standard_normal((1, 6, 5))
    gradient = policy(logits).gradient(np.array([777]))[0]
    for edge in range(6):
        for choice in range(5):
            step = np.zeros((6, 5))
            step[edge, choice] = 1e-5
            slope = log_probability(logits[0] + step, 777) - log_probability(logits[0] - step, 777)
            assert gradient[edge, choice] == pytest.approx(slope / 2e-5, abs=1e-8)


def test_a_policy_draws_as_often_as_it_says_and_knows_its_entropy() -> None:
    logits = np.repeat(np.random.default_rng(1).standard_normal((1, 6, 5)), 40000, 0)
    made = policy(logits)
    choices = MOVES.encode(made.sample(np.random.default_rng(2).random((40000, 6))))
    shares = (choices[..., None] == np.arange(5)).mean(0)
    assert shares == pytest.approx(made.probabilities_SEC[0], abs=0.012)
    p = torch.softmax(torch.tensor(logits[0]), -1)
    assert made.entropy()[0] == pytest.approx(torch.distributions.Categorical(p).entropy().sum().item())
    assert policy(np.zeros((1, 6, 5))).entropy()[0] == pytest.approx(6 * math.log(5))
    assert made.sample(np.full((40000, 6), np.nextafter(1, 0))).max() < CELLS


def test_choices_of_different_numbers_share_a_policy() -> None:
    class Moves:
        choices = (2, 3)

        def decode(self, choices: Values) -> Values:
            return choices[..., 0] * 3 + choices[..., 1]

        def encode(self, archs: Values) -> Values:
            return np.stack([archs // 3, archs % 3], -1)

    made = Policy(Problem(Moves(), ONE, 2, 10), "reinforce")  # type: ignore[arg-type]
    assert made.probabilities_SEC[0].tolist() == [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    assert made.entropy() == pytest.approx([math.log(6)] * 2)
    assert made.sample(np.full((2, 2), np.nextafter(1, 0))).tolist() == [5, 5]
    assert made.gradient(np.array([0, 5]))[:, 0, 2].tolist() == [0, 0]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("baseline", ["ema", "corrected"])
def test_reinforce_is_what_autograd_makes_of_its_loss(optimizer: str, baseline: str) -> None:
    algorithm = Reinforce(optimizer=optimizer, baseline=baseline, learning_rate=0.02)  # type: ignore[arg-type]
    problem = Problem(MOVES, PERCENT, 1, 60)
    played = play(algorithm, problem, spread(landscape(), 1), [0])
    logits = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    make = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    steps = make([logits], lr=0.02)
    average = weight = 0.0
    for arch in played.archs_TS[:, 0]:
        reward = landscape()[arch]
        before = average
        average, weight = 0.9 * average + 0.1 * reward, 0.9 * weight + 0.1
        b = before if baseline == "ema" else average / weight
        choices = torch.tensor(MOVES.encode(np.array(arch)))
        loss = -torch.distributions.Categorical(logits=logits).log_prob(choices).sum() * (reward - b)
        steps.zero_grad()
        loss.backward()
        steps.step()
    search = algorithm.begin(problem)
    search.propose(Past(played.archs_TS, played.values_TSV), np.zeros((1, 6)))
    learned = search._learner.policy.logits_SEC[0]  # type: ignore[attr-defined]
    assert learned == pytest.approx(logits.detach().numpy(), abs=1e-9)
    assert search.answer(Past(played.archs_TS, played.values_TSV))[0] == MOVES.decode(learned.argmax(-1))


def test_a_first_update_has_a_closed_form() -> None:
    """From the uniform policy, with b = 0 and r: θ = η r (1 − 1/5) where chosen, and −η r / 5 elsewhere."""
    algorithm = Reinforce(reward="value", learning_rate=0.5)
    search = algorithm.begin(Problem(MOVES, ONE, 1, 10))
    search.propose(Past(np.array([[77]]), np.array([[[3.0]]])), np.zeros((1, 6)))
    chosen = MOVES.encode(np.array(77))[:, None] == np.arange(5)
    logits = search._learner.policy.logits_SEC[0]  # type: ignore[attr-defined]
    assert logits == pytest.approx(np.where(chosen, 1.5 * 0.8, -1.5 * 0.2))


def rewards(told: list[list[float]], window: int | None = None, epsilon: float = 0.0) -> list[float]:
    judge = ByRanks(tuple("ab"[: len(told[0])]))
    made = Rewards(Problem(MOVES, judge, 1, 10), "difference", window, epsilon)
    return [float(made.next(np.array([each]))[0]) for each in told]


def test_differences_are_divided_by_the_range_and_added_up() -> None:
    assert rewards([[2, 5], [3, 5], [1, 9]]) == pytest.approx([0, 1, (1 - 3) / 2 + 1])
    # Over the last two values alone each change is the whole range.
    assert rewards([[2], [3], [1], [1], [1.5]], window=2) == pytest.approx([0, 1, -1, 0, 1])
    assert rewards([[2], [3]], epsilon=1.0) == pytest.approx([0, 0.5])


def test_a_failure_counts_as_the_worst_so_far() -> None:
    nan, inf = math.nan, math.inf
    assert rewards([[nan], [2], [4], [nan], [1], [-inf], [3]]) == pytest.approx(
        [0, 0, 1, -1, -1 / 3, 0, 2 / 3]
    )
    value = Rewards(Problem(MOVES, PERCENT, 1, 10), "auto", None, 0.0)
    assert [value.next(np.array([[x]]))[0] for x in (nan, 5, 7, nan)] == [0, 5, 7, 5]


def test_a_value_as_reward_is_one_value() -> None:
    with pytest.raises(UsageError, match="tells 3: a, b, c; reward=difference takes several"):
        Reinforce(reward="value").begin(Problem(MOVES, SEVERAL, 1, 10))


def test_a_seed_whose_entropy_has_stopped_falling_ends_and_stays_so() -> None:
    algorithm = Reinforce(reward="difference", stop="entropy", patience=1, learning_rate=0.3)
    problem = Problem(MOVES, ONE, 8, 300)
    played = play(algorithm, problem, spread(landscape(), 8), range(8))
    search, draws = algorithm.begin(problem), Draws(0, range(8), 6)
    before = np.zeros(8, bool)
    for step in range(300):
        archs = search.propose(Past(played.archs_TS[:step], played.values_TSV[:step]), draws.of(step))
        stopped = search.stopped_S
        assert (stopped | ~before).all()
        assert (archs == played.answers_TS[step])[stopped].all(), "it proposes its answer"
        assert (played.answers_TS[step] == played.answers_TS[step - 1])[before].all()
        before = stopped
    assert before.all()


@pytest.mark.parametrize("samples_per_nat", [0.25, 0.8])
def test_fp_nas_is_one_set_after_another(samples_per_nat: float) -> None:
    algorithm = FPNAS(samples_per_nat=samples_per_nat, learning_rate=0.7, reward="value")
    problem = Problem(MOVES, ONE, 3, 150)
    table = (landscape() - 50) / 10
    played = play(algorithm, problem, spread(table, 3), range(3))
    search = algorithm.begin(problem)
    search.propose(Past(played.archs_TS, played.values_TSV), np.zeros((3, 6)))
    for seed in range(3):
        logits = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
        trials = played.archs_TS[:, seed].tolist()
        while trials:
            policy = torch.distributions.Categorical(logits=logits)
            entropy = policy.entropy().sum().item()
            size = max(2, math.ceil(samples_per_nat * entropy))
            if len(trials) < size:
                break
            members, trials = trials[:size], trials[size:]
            choices = torch.tensor(MOVES.encode(np.array(members)))
            weights = torch.softmax(torch.tensor(table[members]), 0)
            loss = -(policy.log_prob(choices).sum(1) * weights).sum()
            (slope,) = torch.autograd.grad(loss, logits)
            logits = (logits - 0.7 * slope).detach().requires_grad_()
        learned = search._learner.policy.logits_SEC[seed]  # type: ignore[attr-defined]
        assert learned == pytest.approx(logits.detach().numpy(), abs=1e-9)


def test_fp_nas_begins_with_three() -> None:
    search = FPNAS().begin(Problem(MOVES, ONE, 1, 10))
    assert search._learner._size_S.tolist() == [math.ceil(0.25 * 6 * math.log(5))] == [3]  # type: ignore[attr-defined]


@pytest.mark.parametrize("improvement", ["best", "first"])
def test_local_search_climbs_to_a_local_optimum_before_it_begins_anew(improvement: str) -> None:
    algorithm = LocalSearch(improvement=improvement)  # type: ignore[arg-type]
    told = tables(1, 1)
    table = told[0, :, 0]
    neighbours = cache(lambda arch: MOVES.neighbours(arch).tolist())
    trials = play(algorithm, Problem(MOVES, ONE, 1, 600), told, [0]).archs_TS[:, 0].tolist()
    known: list[int] = []
    here: int | None = None
    climbs = 0
    for arch in trials:
        if here is None:
            here = arch
        else:
            assert arch in neighbours(here)
            assert arch not in known
        known.append(arch)
        while here is not None:
            near = [each for each in known if each in neighbours(here)]
            better = [each for each in dict.fromkeys(near) if table[each] > table[here]]
            complete = len(set(near)) == 24
            if improvement == "first" and better:
                here = better[0]
            elif complete and better:
                here = max(better, key=lambda each: table[each])
            elif complete:
                assert table[here] >= table[neighbours(here)].max()
                here, climbs = None, climbs + 1
            else:
                break
    assert climbs >= 2


def test_successive_halving_sends_the_best_of_a_rung_to_the_next() -> None:
    told = tables(3, 2)
    problem = Problem(MOVES, SEVERAL, 2, 50)
    played = play(SuccessiveHalving(), problem, told, range(2))
    # 33 + 11 + 3 = 47, and 36 + 12 + 4 = 52 are too many; three steps are left for the first rung.
    rungs = [range(36), range(36, 47), range(47, 50)]
    for rung, steps in enumerate(rungs):
        values = played.values_TSV[steps.start : steps.stop]
        assert np.isfinite(values[..., rung]).all()
        assert np.isnan(np.delete(values, rung, -1)).all()
    for seed in range(2):
        for rung in (0, 1):
            below = played.archs_TS[rungs[rung].start : rungs[rung].stop, seed].tolist()
            best = sorted(dict.fromkeys(below), key=lambda cell, r=rung: -told[0, cell, r])
            went = played.archs_TS[rungs[rung + 1].start : rungs[rung + 1].stop, seed].tolist()
            assert went == best[: len(went)]
        last = played.archs_TS[47:50, seed]
        assert played.answers_TS[-1, seed] == last[told[0, last, 2].argmax()]


def test_successive_halving_begins_anew_and_goes_on_with_what_it_knows() -> None:
    told = tables(3, 1)
    played = play(SuccessiveHalving(first=9), Problem(MOVES, SEVERAL, 1, 30), told, [0], late(3))
    asked = np.isfinite(played.values_TSV[:, 0]).argmax(-1)
    assert asked.tolist() == [*[0] * 9, *[1] * 3, 2] * 2 + [0] * 4
    known = played.archs_TS[:6, 0]
    assert played.archs_TS[9, 0] == known[told[0, known, 0].argmax()]


def test_successive_halving_needs_several_values_and_steps_for_each() -> None:
    with pytest.raises(UsageError, match="two values or more"):
        SuccessiveHalving().begin(Problem(MOVES, ONE, 1, 10))
    with pytest.raises(UsageError, match="there are 2"):
        SuccessiveHalving().begin(Problem(MOVES, SEVERAL, 1, 2))


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (Reinforce, {"learning_rate": 0}),
        (Reinforce, {"decay": 1.0}),
        (Reinforce, {"window": 1}),
        (FPNAS, {"samples_per_nat": 0}),
        (FPNAS, {"patience": 0}),
        (LocalSearch, {"starts": 0}),
        (SuccessiveHalving, {"eta": 1}),
        (SuccessiveHalving, {"first": 0}),
        (RegularizedEvolution, {"population": 0}),
        (RegularizedEvolution, {"population": 3, "sample": 4, "replacement": False}),
    ],
)
def test_an_option_out_of_range_is_refused(make: type, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make(**wrong)
