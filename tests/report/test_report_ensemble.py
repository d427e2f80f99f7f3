"""Combinations: their arithmetic, that choosing sees nothing of what judges, and the command."""

from __future__ import annotations

import itertools
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import N, WriteRun
from scipy import stats

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report import cli
from nasbench_eval.report.across import benchmarks as module
from nasbench_eval.report.across.benchmarks import Benchmark
from nasbench_eval.report.aggregate import AGGREGATES
from nasbench_eval.report.ensemble import passes
from nasbench_eval.report.ensemble.choose import (
    FOLDS,
    LOG_RANK_SUM,
    RANK_SUM,
    SINGLE,
    Fixed,
    Limit,
    Part,
    Task,
    divisions,
    forward,
    judge,
    over_folds,
    terms_of,
)
from nasbench_eval.report.ensemble.columns import (
    DIFFERENCE_MEANINGS,
    FOLD_MEANINGS,
    MEANINGS,
    TRANSFER_MEANINGS,
)
from nasbench_eval.report.ensemble.draw import draw_markdown, draw_text
from nasbench_eval.report.ensemble.pool import Pool, classes_of, pool_of, shared_pools
from nasbench_eval.report.ensemble.source import Options
from nasbench_eval.report.ensemble.study import Study, study
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.statistics.bootstrap import dense_ranks
from nasbench_eval.report.statistics.rank import kendall_tau
from nasbench_eval.report.tables import Truth
from nasbench_eval.spaces import get

ROOT = Path(__file__).resolve().parents[2]
INF, NAN = np.inf, np.nan
KINDS = (RANK_SUM, LOG_RANK_SUM)


def one_by_one(function: Any, parts: Any, seconds: float) -> list[Any]:
    return [function(part) for part in parts]


def part_of(scores: np.ndarray, accuracy: np.ndarray, most: int = 2, repeats: int = 1, seed: int = 0) -> Part:
    held_out = [fold for division in divisions(np.arange(len(accuracy)), repeats, seed) for fold in division]
    return Part((scores,), (dense_ranks(accuracy),), len(scores), most, {}, held_out)


# Arithmetic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_combination_is_the_aggregate_of_its_name(kind: str) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 9, size=(4, 30)).astype(float)
    scores[0, :3], scores[1, 2], scores[2, 5] = NAN, INF, -INF
    terms = terms_of(scores)
    for members in itertools.combinations(range(4), 3):
        wanted = AGGREGATES[kind]({str(m): scores[m] for m in members}, ())
        found = terms.combined(members, kind)
        assert found == pytest.approx(np.where(np.isnan(wanted), -INF, wanted))


@pytest.mark.parametrize("kind", KINDS)
def test_of_few_candidates_the_best_pair_of_all_is_chosen(kind: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scores, target = rng.normal(size=(6, 50)), dense_ranks(rng.normal(size=50))
        task = Task(terms_of(scores), target)
        sets = [*itertools.combinations(range(6), 1), *itertools.combinations(range(6), 2)]
        taus = {members: kendall_tau(task.terms.combined(members, kind), target) for members in sets}
        found = forward([task], 6, 2)[kind]
        assert found.tau == pytest.approx(max(taus.values()))
        assert taus[found.members] == pytest.approx(found.tau)


def test_data_sets_together_are_chosen_for_by_their_mean() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(4, 60))
    tasks = [Task(terms_of(scores), dense_ranks(scores[m] + 0.1 * rng.normal(size=60))) for m in (0, 1)]
    assert [forward([task], 4, 1)[SINGLE].members for task in tasks] == [(0,), (1,)]
    joint = forward(tasks, 4, 2)[RANK_SUM]
    assert joint.members == (0, 1)
    taus = [kendall_tau(task.terms.combined((0, 1), RANK_SUM), task.target) for task in tasks]
    assert joint.tau == pytest.approx(np.mean(taus))


def test_a_limit_of_passes() -> None:
    sets = (frozenset("ab"), frozenset("bc"), frozenset("d"), None)
    limit = Limit(sets, 3)
    assert limit({0, 1})  # they share one
    assert limit({0, 2})
    assert not limit({0, 1, 2})
    assert not limit({2, 3})  # nobody knows what it takes
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 60))
    task = Task(terms_of(scores), dense_ranks(scores.sum(axis=0)))
    chosen = forward([task], 4, 4, limit)
    assert all(limit(choice.members) for choice in chosen.values())
    assert forward([task], 4, 4, Limit((None,) * 4, 9)) == {}


def test_mean_over_folds_by_hand() -> None:
    values = np.array([0.1, 0.2, 0.4, 0.3, 0.5])
    mean = over_folds(values)
    half = stats.t.ppf(0.975, 4) * np.sqrt(values.var(ddof=1) * (1 / 5 + 0.25))
    assert mean == pytest.approx((0.3, values.std(ddof=1), 0.3 - half, 0.3 + half))
    assert over_folds(np.array([*values, NAN])) == pytest.approx(mean)
    assert np.isnan(over_folds(np.array([0.5])).low)


def test_divisions_are_partitions_that_repeat_themselves() -> None:
    first, again, other = (list(divisions(np.arange(23), 3, seed)) for seed in (0, 0, 1))
    for division in first:
        assert len(division) == FOLDS
        assert sorted(np.concatenate(division)) == list(range(23))
    for a, b in zip(first, again, strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert not all((a[0] == b[0]).all() for a, b in zip(first, other, strict=True))
    assert sorted(first[0][0]) != sorted(first[1][0])


def test_isomorphic_architectures_stay_together() -> None:
    classes = np.arange(60) % 23
    for division in divisions(classes, 4, 0):
        assert sorted(np.concatenate(division)) == list(range(60))
        for one, other in itertools.combinations(division, 2):
            assert not {*classes[one]} & {*classes[other]}


def test_classes_are_those_of_the_space(write_run: WriteRun, truth: Truth) -> None:
    """Cells by their canonical text; what the space does not read is a class of its own."""
    run = write_run({("zen", "cifar10"): {"score": np.arange(N)}})
    cells, benchmark = get("nasbench201"), benchmark_of(run, truth)
    found = classes_of(benchmark, pd.Index(range(N)))
    assert found.tolist() == list(range(N))  # the made-up texts name no cells
    part = next(iter(benchmark.scores.frames))
    frame = benchmark.scores.frames[part]
    benchmark.scores.frames[part] = frame.assign(arch=[cells.format(cells.arch(i)) for i in range(N)])
    stands = [cells.index(cells.canonical(cells.arch(i))) for i in range(N)]
    assert len({*stands}) < N
    assert (classes_of(benchmark, pd.Index(range(N))) == pd.factorize(np.array(stands))[0]).all()


# Choosing sees nothing of what judges ------------------------------------------------------------------


def test_held_out_architectures_have_no_part_in_the_choice() -> None:
    rng = np.random.default_rng(3)
    accuracy = rng.normal(size=80)
    scores = accuracy * rng.uniform(0, 1, size=(9, 1)) + rng.normal(size=(9, 80))
    part = part_of(scores, accuracy, most=3)
    found = judge(part)
    for number, held_out in enumerate(part.held_out):
        changed, other = scores.copy(), dense_ranks(accuracy).copy()
        changed[:, held_out] = rng.normal(size=(9, len(held_out))) * 100
        other[held_out] = rng.permutation(other[held_out])
        again = judge(Part((changed,), (other,), 9, 3, {}, [held_out]))
        assert again[0].chosen == found[number].chosen
        assert again[0].tau != found[number].tau


def test_held_out_architectures_are_ranked_among_themselves() -> None:
    rng = np.random.default_rng(4)
    accuracy, scores = rng.normal(size=50), rng.normal(size=(3, 50))
    part = part_of(scores, accuracy)
    part = Part(part.scores, part.targets, 3, 1, {"given": Fixed((0, 2), LOG_RANK_SUM)}, part.held_out)
    for fold, held_out in zip(judge(part), part.held_out, strict=True):
        members = {str(m): scores[m, held_out] for m in (0, 2)}
        total = AGGREGATES[LOG_RANK_SUM](members, ())
        assert fold.tau["given"] == pytest.approx((kendall_tau(total, accuracy[held_out]),))


def test_noise_is_worth_nothing_on_held_out_architectures() -> None:
    """The best of 36 combinations of noise ranks well where it was chosen, and by chance where it was not."""
    covered, chosen, held_out = 0, [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scores, accuracy = rng.normal(size=(8, 80)), rng.normal(size=80)
        folds = judge(part_of(scores, accuracy, seed=seed))
        mean = over_folds(np.array([fold.tau[RANK_SUM][0] for fold in folds]))
        covered += mean.low <= 0 <= mean.high
        held_out.append(mean.mean)
        chosen.append(forward([Task(terms_of(scores), dense_ranks(accuracy))], 8, 2)[RANK_SUM].tau)
    assert covered >= 10
    assert abs(np.mean(held_out)) < 2.5 * np.std(held_out, ddof=1) / np.sqrt(12)
    assert np.mean(chosen) > 0.05  # of one combination, not chosen, it would be 0 ± 0.02


def test_a_planted_pair_is_found() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(10, 150))
    accuracy = scores[3] + scores[7] + 0.3 * rng.normal(size=150)
    folds = judge(part_of(scores, accuracy, repeats=2))
    for kind in KINDS:
        assert {fold.chosen[kind] for fold in folds} == {(3, 7)}
        gain = over_folds(np.array([fold.tau[kind][0] - fold.tau[SINGLE][0] for fold in folds]))
        assert gain.low > 0.1


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_increasing_maps_and_the_order_of_architectures_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, accuracy = rng.normal(size=(4, 40)), rng.normal(size=40)
    part = part_of(scores, accuracy)
    found = judge(part)
    mapped = np.stack([np.exp(scores[0]), scores[1] ** 3, 5 * scores[2] - 1, np.arctan(scores[3])])
    assert judge(Part((mapped,), part.targets, 4, 2, {}, part.held_out)) == found
    order = rng.permutation(40)
    places = np.argsort(order)
    turned = Part(
        (scores[:, order],), (part.targets[0][order],), 4, 2, {}, [places[f] for f in part.held_out]
    )
    for a, b in zip(judge(turned), found, strict=True):
        assert a.chosen == b.chosen
        assert a.tau[RANK_SUM] == pytest.approx(b.tau[RANK_SUM])


# Passes ------------------------------------------------------------------------------------------------


def test_the_list_of_passes_is_that_of_the_proxies() -> None:
    spec: Any = spec_from_file_location("list_passes", ROOT / "scripts" / "list_passes.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert passes.FILE.read_text(encoding="utf-8") == script.text()
    for label, proxy in script.labels().items():
        assert len(passes.known()[label]) == len(set(proxy.passes()))


def test_passes_that_proxies_share_count_once() -> None:
    assert passes.count(["expressivity", "progressivity"]) == 1
    assert passes.count(["expressivity", "progressivity", "trainability", "flops"]) == 3
    assert passes.count(["intrain", "intrain_cell"]) == 2
    assert passes.count(["expressivity", "somebody's"]) is None


# Pools -------------------------------------------------------------------------------------------------


def benchmark_of(run: Path, truth: Truth, dataset: str = "cifar10") -> Benchmark:
    scores = read_runs([run])
    return Benchmark(f"nasbench201/{dataset}", dataset, "nasbench201", dataset, "test", scores, truth)


@pytest.fixture
def mixed(write_run: WriteRun, truth: Truth) -> Benchmark:
    """AZ-NAS's members, one of them with a column; scored on all, on most and on few architectures."""
    rng = np.random.default_rng(6)
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for label in ("expressivity", "progressivity", "trainability"):
        parts[label, "cifar10"] = {"score": rng.normal(size=N), "seconds": np.full(N, 0.25)}
    columns = {"score": rng.normal(size=N), "part": rng.normal(size=N), "same": np.ones(N)}
    parts["flops", "cifar10"] = {**columns, "seconds": np.full(N, 0.5)}
    parts["most", "cifar10"] = {"score": rng.normal(size=N - 10)}
    parts["few", "cifar10"] = {"score": rng.normal(size=N // 2 - 1)}
    return benchmark_of(write_run(parts), truth)


def test_a_pool_has_those_that_were_scored_on_half(mixed: Benchmark) -> None:
    pool = pool_of(mixed)
    assert pool.names == ("expressivity", "flops", "most", "progressivity", "trainability")
    assert (pool.n, pool.candidates) == (N - 10, 5)
    assert list(pool.fixed) == ["az_nas"]
    assert pool.scores.shape == (5, N - 10)
    assert pool.places(["progressivity", "expressivity"]) == [0, 3]
    assert pool.places(["few"]) is None


def test_a_pool_of_ones_own_and_columns(mixed: Benchmark) -> None:
    pool = pool_of(mixed, wished=["few", "flops.part"])
    assert pool.names[: pool.candidates] == ("few", "flops.part")
    assert pool.n == N // 2 - 1
    # Members of fixed combinations follow, and cannot be chosen.
    assert set(pool.names[2:]) == {"expressivity", "flops", "progressivity", "trainability"}
    names = pool_of(mixed, components=True).names
    assert "flops.part" in names
    assert "flops.same" not in names  # it never differs


@pytest.mark.parametrize(
    ("wish", "said"),
    [("flop", "did you mean flops"), ("flops.parts", "did you mean flops.part"), ("x", "unknown proxy of")],
)
def test_unknown_candidates(wish: str, said: str, mixed: Benchmark) -> None:
    with pytest.raises(UnknownName, match=said):
        pool_of(mixed, wished=[wish])


def test_few_architectures_are_refused(write_run: WriteRun, truth: Truth) -> None:
    half = np.arange(30)
    parts = {
        ("a", "cifar10"): {"score": half * 1.0, "index": half},
        ("b", "cifar10"): {"score": half * 1.0, "index": half + 15},
    }
    with pytest.raises(UsageError, match="2 proxies share 15 architectures with accuracies; 20 are needed"):
        pool_of(benchmark_of(write_run(parts), truth))


# Studies -----------------------------------------------------------------------------------------------


@pytest.fixture
def pools(write_run: WriteRun, truth: Truth) -> list[Pool]:
    """Two data sets of one run, and another run; on the first data sets the sum of a and b ranks well."""
    rng = np.random.default_rng(7)
    names = ("a", "b", "expressivity", "progressivity", "trainability", "flops")
    found = []
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset in ("cifar10", "cifar100"):
        accuracy, noise = truth.accuracy(dataset, "test"), rng.normal(size=N) * 20
        parts |= {(name, dataset): {"score": rng.normal(size=N)} for name in names}
        parts["a", dataset], parts["b", dataset] = {"score": accuracy + noise}, {"score": accuracy - noise}
    run = write_run(parts)
    found += [pool_of(benchmark_of(run, truth, dataset)) for dataset in ("cifar10", "cifar100")]
    other = {(name, "imagenet16_120"): {"score": rng.normal(size=N)} for name in names[1:]}
    found.append(pool_of(benchmark_of(write_run(other, name="other"), truth, "imagenet16_120")))
    return found


def test_a_study(pools: list[Pool]) -> None:
    found = study(pools, Options(2, resamples=20, repeats=2), one_by_one)
    assert [list(frame) for frame in (found.table, found.differences, found.folds, found.transfer)] == [
        list(each) for each in (MEANINGS, DIFFERENCE_MEANINGS, FOLD_MEANINGS, TRANSFER_MEANINGS)
    ]
    table = found.table.set_index(["benchmark", "method"])
    for name in ("nasbench201/cifar10", "nasbench201/cifar100"):
        for method in ("rank_sum", "log_rank_sum", "joint_rank_sum"):
            row = table.loc[(name, method)]
            assert row["combination"] == "a + b"
            assert row["low"] > table.loc[(name, "az_nas"), "high"]
            assert np.isnan(row["passes"])
        assert table.loc[(name, "az_nas"), "passes"] == 3
    assert "joint_single" not in table.loc["nasbench201/imagenet16_120"].index
    chosen = found.folds.set_index(["benchmark", "method"]).loc["nasbench201/cifar10", "rank_sum"]
    assert (chosen["combination"], chosen["times"], chosen["folds"]) == ("a + b", 10, 10)
    differences = found.differences.set_index(["benchmark", "method", "reference"])
    gain = differences.loc[("nasbench201/cifar10", "rank_sum", "az_nas")]
    both = table.loc["nasbench201/cifar10", "tau"]
    assert gain["difference"] == pytest.approx(both["rank_sum"] - both["az_nas"])


def test_transfer(pools: list[Pool]) -> None:
    found = study(pools, Options(2, resamples=20, repeats=1), one_by_one)
    transfer = found.transfer.set_index(["chosen_on", "method", "benchmark"])
    assert not [row for row in transfer.index if row[0] == row[2]]
    # What was chosen on the first data set, on the second one, by hand.
    second = pools[1]
    scores = {name: second.scores[second.names.index(name)] for name in ("a", "b")}
    total = AGGREGATES["rank_sum"](scores, ())
    row = transfer.loc[[("nasbench201/cifar10", "rank_sum", "nasbench201/cifar100")]].iloc[0]
    assert row["tau"] == pytest.approx(kendall_tau(total, second.target))
    az_nas = transfer.loc[[("", "az_nas", "nasbench201/cifar100")]].iloc[0]
    assert row["difference"] == pytest.approx(row["tau"] - az_nas["tau"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    # The other run has no a.
    elsewhere = [("nasbench201/cifar10", "rank_sum", "nasbench201/imagenet16_120")]
    assert transfer.loc[elsewhere, "tau"].isna().all()
    text, markdown = draw_text(found), draw_markdown(found)
    assert max(map(len, text.splitlines())) <= 100
    assert "j1: joint_rank_sum" in text
    assert "## Transfer, less az_nas" in markdown
    line = next(line for line in text.splitlines() if line.startswith("1: rank_sum"))
    assert line.split()[-1] == "–"


def test_shared_pools(pools: list[Pool]) -> None:
    assert shared_pools(pools) == ["b", "expressivity", "flops", "progressivity", "trainability"]


# The command -------------------------------------------------------------------------------------------


def call(monkeypatch: pytest.MonkeyPatch, truth: Truth, *arguments: object) -> int:
    monkeypatch.setattr(module, "truth_of", lambda space, folder, live, benchmark: truth)
    monkeypatch.setattr(sys, "argv", ["nasbench-report", *map(str, arguments)])
    return cli.main()


def test_the_command(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--ensemble", 2, "--pool", "snip,zen,intrain.gamma", "--resamples", 9]
    assert call(monkeypatch, truth, run, *options) == 0
    printed = capsys.readouterr().out
    assert "3 candidates" in printed
    folder = run / "tables" / "ensemble"
    tables = {"ensembles.csv", "ensembles.md", "differences.csv", "folds.csv", "transfer.csv", "report.json"}
    assert {path.name for path in folder.iterdir()} == tables
    record = json.loads((folder / "report.json").read_text())
    assert record["candidates"] == {"nasbench201/cifar10": ["intrain.gamma", "snip", "zen"]}
    assert list(pd.read_csv(folder / "ensembles.csv")) == list(MEANINGS)
    before = (folder / "ensembles.csv").read_bytes()
    assert call(monkeypatch, truth, run, *options) == 0
    assert (folder / "ensembles.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ensemble", 0], "--ensemble must be 1 or more; got 0"),
        (["--ensemble", 2, "--passes", 0], "--passes must be 1 or more; got 0"),
        (["--ensemble", 2, "--pool", "zan"], "unknown proxy of nasbench201/cifar10 'zan'; did you mean zen"),
        (["--ensemble", 2, "--across"], "--across is an option of reports without --ensemble"),
        (
            ["--ensemble", 2, "--costs", "hw_nasbench201"],
            "--costs is an option of reports without --ensemble",
        ),
        (["--ensemble", 2, "--failures", "omit"], "--failures is an option of reports without --ensemble"),
        (["--ensemble", 2, "--pool", "zen", "--components"], "--components adds columns to the usual pool"),
        (
            ["--ensemble", 2, "--pool", "a_name_far_too_long_for_a_narrow_column", "--passes", 1],
            "no candidate",
        ),
        (["--passes", 2], "--passes is an option of reports with --across or --ensemble"),
    ],
)
def test_what_is_refused(
    options: list[object], said: str, run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert call(monkeypatch, truth, run, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_study_of_one_benchmark_has_no_transfer(pools: list[Pool]) -> None:
    found: Study = study(pools[2:], Options(1, resamples=0, repeats=1), one_by_one)
    assert set(found.transfer["chosen_on"]) == {""}
    assert "Transfer" not in draw_text(found)
    assert list(found.sources[0].chosen) == [SINGLE]


@pytest.mark.parametrize(
    ("name", "definition", "said"),
    [
        ("rank_sum", "aggregate: rank_sum", "'rank_sum' is the name of a method of choosing"),
        ("joint_sum", "aggregate: rank_sum", "'joint_sum' is the name of a method of choosing"),
        ("zen", "aggregate: rank_sum", "another row is called 'zen'"),
        ("az_nas", "aggregate: rank_sum", "another row is called 'az_nas'"),
        ("mine", "aggregate: product", "--ensemble compares with rank sums without weights"),
    ],
)
def test_aggregates_that_would_be_mistaken_for_others(
    name: str, definition: str, said: str, run: Path, truth: Truth, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Any,
) -> None:  # fmt: skip
    (tmp_path / f"{name}.yaml").write_text(f"{definition}\nmembers: [zen]\n")
    assert call(monkeypatch, truth, run, "--ensemble", 2, "--aggregate", tmp_path / f"{name}.yaml") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
