"""Each pair of scores and accuracies is resampled once for all parts of a report, and to the same bits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_eval.report import command
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import RowSpec, TableSpec
from nasbench_eval.report.statistics import bootstrap, resampled
from nasbench_eval.report.statistics.bootstrap import dense_ranks
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.tables import Truth

SPEC = TableSpec(
    "Mine",
    "nasbench201",
    "made up",
    ["cifar10"],
    rows=[
        RowSpec("snip"),
        RowSpec("zen"),
        RowSpec("intrain"),
        RowSpec("gamma", proxy="intrain", value="gamma"),
    ],
    others=True,
)


def test_no_pair_is_resampled_twice_in_a_report(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, list[tuple[bytes, bytes]]] = {"resampled_taus": [], "resampled_rhos": []}

    def watch(name: str) -> None:
        original = getattr(bootstrap, name)

        def watched(scores: Any, target: Any, **options: Any) -> Any:
            asked[name] += [(codes.tobytes(), target.tobytes()) for codes in scores]
            return original(scores, target, **options)

        monkeypatch.setattr(resampled, name, watched)

    for name in asked:
        watch(name)
    monkeypatch.setattr(command, "truth_of", lambda *_: truth)
    arguments = argparse.Namespace(
        failures="worst", resamples=20, seed=1, cells="all", statistics=True, data=None, all_rows=False
    )
    two = [("one", SPEC), ("two", SPEC)]
    found = command.compute(arguments, read_runs([run]), two, ("test", "val"), [])
    assert found.analysis is not None
    assert len(asked["resampled_rhos"]) >= 2 * 7  # seven rows in two splits
    for pairs in asked.values():
        assert len(pairs) == len(set(pairs))


def test_what_is_known_keeps_its_bits_whoever_was_resampled_beside_it() -> None:
    rng = np.random.default_rng(0)
    x, y, z = (dense_ranks(rng.integers(0, 40, 90)) for _ in range(3))
    together, alone = Resamples(30, 2), Resamples(30, 2)
    together.taus([z, x], y)
    together.rhos([z, x], y)
    assert np.array_equal(together.taus([x], y), alone.taus([x], y), equal_nan=True)
    assert np.array_equal(together.rhos([x], y), alone.rhos([x], y), equal_nan=True)
    expected = bootstrap.bootstrap([x], y, resamples=30, seed=2)
    assert np.array_equal(alone.taus([x], y)[0], expected.taus[0])
    assert np.array_equal(alone.rhos([x], y)[0], expected.rhos[0])
