"""What the interactive page carries: scores and accuracies, packed. All data are made up."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_page import (
    CELLS_201,
    N,
    compute,
    made_up_scores,
    made_up_truth,
    page_of,
    spec_of,
)

from nasbench_eval.errors import UsageError
from nasbench_eval.report.page.points import collect_points, pack
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.tables import Table, Truth


def unpacked(block: str, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Distinct values and codes, by the format's description."""
    content = zlib.decompress(base64.b64decode(block))
    k = int.from_bytes(content[:4], "little")
    planes = np.frombuffer(content[4:], dtype=np.uint8)
    halves = np.ascontiguousarray(planes[: 4 * k].reshape(4, k).T).view("<u4").ravel()
    size = len(planes[4 * k :]) // n
    codes = np.ascontiguousarray(planes[4 * k :].reshape(size, n).T).view(f"<u{size}").ravel()
    return (halves.astype("<u8") << np.uint64(32)).view("<f8"), codes


def restored(block: str, n: int) -> np.ndarray[Any, Any]:
    """The values, NaN for failed and absent ones."""
    distinct, codes = unpacked(block, n)
    return np.append(distinct, [np.nan, np.nan])[codes]


def test_a_packed_vector_is_the_vector() -> None:
    smallest, largest = np.finfo(np.float64).tiny, np.finfo(np.float64).max
    values = np.array([3.0, -1.5, np.nan, 3.0, np.inf, -largest, largest, 0.0, 1 / 3, smallest, 7.0])
    present = np.ones(len(values), dtype=bool)
    present[-1] = False
    distinct, codes = unpacked(pack(values, present), len(values))
    k = len(distinct)
    assert np.isfinite(distinct).all()
    assert distinct == pytest.approx([-largest, -1.5, 0, smallest, 1 / 3, 3, largest], rel=1e-6)
    assert codes.tolist() == [5, 1, k, 5, k, 0, 6, 2, 4, 3, k + 1]


def test_order_survives_where_values_are_too_close() -> None:
    values = 1 + np.arange(9) * 1e-12
    distinct, codes = unpacked(pack(values[::-1], np.ones(9, dtype=bool)), 9)
    assert codes.tolist() == list(range(9))[::-1]
    assert (np.diff(distinct) >= 0).all()


@pytest.mark.parametrize(("n", "size"), [(65534, 2), (65535, 4)])
def test_many_values_take_wider_codes(n: int, size: int) -> None:
    values = np.random.default_rng(0).permutation(n).astype(np.float64)
    block = pack(values, np.ones(n, dtype=bool))
    assert len(zlib.decompress(base64.b64decode(block))) == 4 + 4 * n + size * n
    assert unpacked(block, n)[1].tolist() == values.astype(int).tolist()


def test_nothing_known_packs_too() -> None:
    distinct, codes = unpacked(pack(np.full(3, np.nan), np.array([True, False, True])), 3)
    assert len(distinct) == 0
    assert codes.tolist() == [0, 1, 0]


def test_points_are_scores_and_accuracies(scores: Scores, truths: dict[str, Truth], table: Table) -> None:
    points = collect_points([table], scores, truths)
    [space] = points.spaces
    assert [space[key] for key in ("name", "title", "cells")] == ["nasbench201", "NAS-Bench-201", N]
    texts = [zlib.decompress(base64.b64decode(points.blocks[space[key]])) for key in ("index", "archs")]
    assert np.frombuffer(texts[0], "<u4").tolist() == list(range(N))
    assert texts[1].decode().split("\n") == CELLS_201[:N]
    first = space["datasets"][0]
    assert [row["name"] for row in first["scores"]] == ["snip", "half", "both", "zen", "zico"]
    vectors = {row["name"]: restored(points.blocks[row["block"]], N) for row in first["scores"]}
    frames = {
        label: scores.frames[Part("nasbench201", "cifar10", label)] for label in ("snip", "zen", "zico")
    }
    assert vectors["snip"] == pytest.approx(frames["snip"]["score"].to_numpy(), rel=1e-6)
    assert vectors["half"] == pytest.approx(frames["snip"]["half"].to_numpy(), rel=1e-6)
    assert np.flatnonzero(np.isnan(vectors["zen"])).tolist() == [3, 4]
    assert np.flatnonzero(np.isnan(vectors["zico"])).tolist() == list(range(10))
    # The aggregate ranks what failed by −∞ lowest and leaves NaN out.
    assert np.flatnonzero(np.isnan(vectors["both"])).tolist() == [4]
    for dataset in space["datasets"]:
        assert [split["name"] for split in dataset["splits"]] == ["test", "val"]
        for split in dataset["splits"]:
            expected = truths["nasbench201"].accuracy(dataset["name"], split["name"])
            assert restored(points.blocks[split["block"]], N) == pytest.approx(expected, rel=1e-6)
    row = table.rows.set_index(["proxy", "dataset", "split"]).loc[("zen", "cifar10", "val")]
    figures = first["scores"][3]["figures"]["val"]
    assert figures["kendall_tau"] == row["kendall_tau"]
    assert figures["published_tau"] is None
    assert (figures["n_failed"], figures["n_lowest"]) == (1, 1)


def test_a_row_in_two_tables_is_plotted_once(scores: Scores, truths: dict[str, Truth], table: Table) -> None:
    other = spec_of()
    other.rows = [RowSpec("snip"), RowSpec("half", proxy="zen", value="half")]
    points = collect_points([table, compute(scores, truths, other, "other")], scores, truths)
    names = [row["name"] for row in points.spaces[0]["datasets"][0]["scores"]]
    assert names == ["snip", "half", "both", "zen", "zico", "half (other)"]


def test_labels_without_a_table_are_plotted(scores: Scores, truths: dict[str, Truth]) -> None:
    [space] = collect_points([], scores, truths).spaces
    assert [row["name"] for row in space["datasets"][0]["scores"]] == ["snip", "zen", "zico"]
    assert space["datasets"][0]["scores"][0]["figures"] == {}


def test_data_sets_without_accuracies_are_left_out(truths: dict[str, Truth]) -> None:
    scores = made_up_scores(["snip"], CELLS_201[:N], ["imagenet16_120", "cifar10"])
    [space] = collect_points([], scores, truths).spaces
    assert [dataset["name"] for dataset in space["datasets"]] == ["cifar10"]
    alone = made_up_scores(["snip"], CELLS_201[:N], ["imagenet16_120"])
    assert collect_points([], alone, truths).spaces == []


def test_without_truths_no_accuracy_is_in_the_page(tmp_path: Path, scores: Scores, table: Table) -> None:
    text = page_of(tmp_path, scores, tables=[table])
    assert "benchmark accuracies" not in text
    assert 'id="scatter"' not in text
    assert not re.search(r'<script type="(text/plain|application/json)"', text)
    assert len(text) < 100_000


def test_scores_of_other_architectures_are_refused(scores: Scores, tmp_path: Path) -> None:
    shuffled = {"nasbench201": made_up_truth(CELLS_201[N : 2 * N])}
    with pytest.raises(UsageError, match="not the same"):
        page_of(tmp_path, scores, truths=shuffled)
    with pytest.raises(UsageError, match="end at 9"):
        page_of(tmp_path, scores, truths={"nasbench201": made_up_truth(CELLS_201[:10])})
    assert not (tmp_path / "report.html").exists()


def test_a_whole_space_fits_ten_megabytes(tmp_path: Path) -> None:
    labels = [f"proxy_{number}" for number in range(25)]
    scores = made_up_scores(labels, CELLS_201, ["cifar10", "cifar100", "third"])
    page_of(tmp_path, scores, truths={"nasbench201": made_up_truth(CELLS_201)})
    assert 5e6 < (tmp_path / "report.html").stat().st_size < 10e6
