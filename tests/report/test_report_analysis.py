"""The statistics of a report's rows, brought together from tables, scores and accuracies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import N, WriteRun
from scipy.stats import kendalltau

from nasbench_eval.errors import UsageError
from nasbench_eval.report.analysis import Analysis, analyse, over_seeds
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import RowSpec, TableSpec, load_table_spec
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth

QUICK = Settings(resamples=20)


def scores_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=N)


@pytest.fixture
def run(write_run: WriteRun) -> Path:
    parts = {
        (label, dataset): {"score": scores_of(number), "gamma": scores_of(number + 9)}
        for number, label in enumerate(["flops", "intrain", "snip", "a_proxy_of_ones_own"])
        for dataset in ("cifar10", "cifar100")
    }
    parts["zen", "cifar10"] = {"score": scores_of(20)[:30]}
    return write_run(parts, config={"seed": 0})


def computed(run: Path, truths: dict[str, Truth], *names: str) -> tuple[list[Table], Analysis]:
    scores = read_runs([run])
    reporter = Reporter(scores, truths, QUICK)
    tables = [reporter.table(name, load_table_spec(name)[1], ("test",)) for name in names]
    return tables, analyse(tables, scores, truths, QUICK)


def test_every_measured_row_has_its_statistics_once(run: Path, truths: dict[str, Truth]) -> None:
    tables, analysis = computed(run, truths, "table1", "table3")
    measured = pd.concat([table.rows for table in tables])
    measured = measured[measured["n"] > 0].drop_duplicates(["proxy", "dataset"])
    metrics = analysis.metrics
    assert set(zip(metrics["proxy"], metrics["dataset"], strict=True)) == set(
        zip(measured["proxy"], measured["dataset"], strict=True)
    )
    assert {"a_proxy_of_ones_own", "gamma"} <= set(metrics["proxy"])
    assert not metrics.duplicated(["proxy", "dataset", "split"]).any()


def test_tables_and_statistics_agree(run: Path, truths: dict[str, Truth]) -> None:
    [table], analysis = computed(run, truths, "table1")
    both = table.rows.merge(analysis.metrics, on=["proxy", "dataset", "split"], suffixes=("", "_again"))
    both = both[both["n"] > 0]
    assert len(both) == 9
    np.testing.assert_allclose(both["kendall_tau"], both["kendall_tau_again"], atol=1e-12)
    np.testing.assert_allclose(both["spearman_rho"], both["spearman_rho_again"], atol=1e-12)
    assert (both["n"] == both["n_again"]).all()
    # On a data set where one proxy has fewer architectures, resamples refer to all that any has.
    full = both[both["dataset"] == "cifar100"]
    np.testing.assert_allclose(full["kendall_low"], full["kendall_low_again"], atol=1e-12)


def test_pairs_are_judged_on_what_both_have(run: Path, truths: dict[str, Truth]) -> None:
    _, analysis = computed(run, truths, "table1")
    paired = analysis.paired.set_index(["dataset", "proxy", "other"])
    row = paired.loc["cifar10", "zen", "snip"]
    truth = truths["nasbench201"].accuracy("cifar10", "test")[:30]
    expected = (
        kendalltau(scores_of(20)[:30], truth).statistic - kendalltau(scores_of(2)[:30], truth).statistic
    )
    assert row["n"] == 30
    assert row["difference"] == pytest.approx(expected, abs=1e-12)
    between = analysis.between.set_index(["dataset", "proxy", "other"])
    alike = kendalltau(scores_of(1), scores_of(2)).statistic
    assert between.loc["cifar100", "intrain", "snip"]["kendall_tau"] == pytest.approx(alike, abs=1e-12)


def test_strata_name_their_place(run: Path, truths: dict[str, Truth]) -> None:
    _, analysis = computed(run, truths, "table1")
    mine = analysis.strata.query("proxy == 'intrain' and dataset == 'cifar100'")
    assert list(mine["stratum"]) == ["top_10pct", *(f"decile_{d}" for d in range(1, 11))]
    assert list(analysis.frames()) == ["metrics", "strata", "paired", "paired_given", "between"]


def test_seeds(run: Path, write_run: WriteRun, truths: dict[str, Truth]) -> None:
    tables, _ = computed(run, truths, "table1")
    again = {"score": scores_of(1) + 0.1 * scores_of(30)}
    other = write_run({("intrain", "cifar10"): again}, name="other", config={"seed": 1})
    frame = over_seeds(tables, [read_runs([run]), read_runs([other])], truths, QUICK)
    place = ["space", "dataset", "split", "proxy"]
    assert frame[place].to_numpy().tolist() == [["nasbench201", "cifar10", "test", "intrain"]]
    truth = truths["nasbench201"].accuracy("cifar10", "test")
    taus = [kendalltau(s, truth).statistic for s in (scores_of(1), again["score"])]
    assert frame["tau_mean"][0] == pytest.approx(np.mean(taus))
    assert frame["tau_sd"][0] == pytest.approx(np.std(taus, ddof=1))
    assert frame["icc"][0] > 0.9


def test_seeds_that_are_no_seeds(run: Path, write_run: WriteRun, truths: dict[str, Truth]) -> None:
    tables, _ = computed(run, truths, "table1")
    mine = read_runs([run])
    same = write_run({("snip", "cifar10"): {"score": scores_of(1)}}, name="same", config={"seed": 0})
    with pytest.raises(UsageError, match="seeds 0, 0; each needs one of its own"):
        over_seeds(tables, [mine, read_runs([same])], truths, QUICK)
    unsaid = write_run({("snip", "cifar10"): {"score": scores_of(1)}}, name="unsaid")
    with pytest.raises(UsageError, match="does not say which one seed"):
        over_seeds(tables, [mine, read_runs([unsaid])], truths, QUICK)
    foreign = write_run({("zico", "cifar10"): {"score": scores_of(1)}}, name="foreign", config={"seed": 1})
    with pytest.raises(UsageError, match="no row of the tables has scores in all runs"):
        over_seeds(tables, [mine, read_runs([foreign])], truths, QUICK)
    other = {"seed": 1, "proxies": {"snip": {"name": "snip", "batch_size": 8}}}
    reading = write_run({("snip", "cifar10"): {"score": scores_of(1)}}, name="reading", config=other)
    recorded = {"seed": 0, "proxies": {"snip": {"name": "snip", "batch_size": 64}}}
    (run / "run.json").write_text(json.dumps(recorded))
    with pytest.raises(UsageError, match=r"different options in .*: that is no matter of seeds"):
        over_seeds(tables, [read_runs([run]), read_runs([reading])], truths, QUICK)


def test_two_spaces_stay_apart(run: Path, write_run: WriteRun, truths: dict[str, Truth]) -> None:
    other = write_run({("snip", "cifar10"): {"score": scores_of(8)}}, name="o", space="nasbench101")
    scores = read_runs([run, other])
    both = {**truths, "nasbench101": truths["nasbench201"]}
    reporter = Reporter(scores, both, QUICK)
    tables = [reporter.table(name, load_table_spec(name)[1], ("test",)) for name in ("table1", "figure2")]
    metrics = analyse(tables, scores, both, QUICK).metrics.set_index(["space", "dataset", "proxy"])
    truth = truths["nasbench201"].accuracy("cifar10", "test")
    for space, seed in (("nasbench201", 2), ("nasbench101", 8)):
        expected = kendalltau(scores_of(seed), truth).statistic
        assert metrics.loc[(space, "cifar10", "snip"), "kendall_tau"] == pytest.approx(expected)


def test_a_name_with_two_meanings_is_told_apart(run: Path, truths: dict[str, Truth]) -> None:
    scores = read_runs([run])
    mine = TableSpec("Mine", "nasbench201", "made up", ["cifar10"], rows=[RowSpec("snip", value="0 - score")])
    reporter = Reporter(scores, truths, QUICK)
    tables = [reporter.table("table1", load_table_spec("table1")[1], ("test",)), reporter.table("mine", mine)]
    metrics = analyse(tables, scores, truths, QUICK).metrics
    taus = metrics.query("dataset == 'cifar10' and split == 'test'").set_index("proxy")["kendall_tau"]
    assert taus["snip (mine)"] == pytest.approx(-taus["snip"])
