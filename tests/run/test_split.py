"""A sample is dealt to shards: every cell to one of them, and evenly."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.split import Split, shard_folders, split_of

SAMPLES = st.lists(st.integers(0, 10**6), min_size=1, max_size=200, unique=True)


@given(SAMPLES, st.data())
def test_shards_are_disjoint_complete_balanced_and_in_order(sample: list[int], data: st.DataObject) -> None:
    of = data.draw(st.integers(1, len(sample)))
    parts = [Split(shard, of).take(sample) for shard in range(of)]
    assert [index for part in parts for index in part] == sorted(sample)
    assert {len(part) for part in parts} <= {len(sample) // of, math.ceil(len(sample) / of)}
    assert all(parts)


@given(SAMPLES, st.data())
def test_the_order_of_the_draw_does_not_matter(sample: list[int], data: st.DataObject) -> None:
    of = data.draw(st.integers(1, len(sample)))
    split = Split(data.draw(st.integers(0, of - 1)), of)
    assert split.take(sample[::-1]) == split.take(sample)


@given(SAMPLES, st.integers(1, 50))
def test_more_shards_than_cells_are_refused(sample: list[int], more: int) -> None:
    with pytest.raises(UsageError, match=f"a sample of {len(sample)} cannot be split"):
        Split(0, len(sample) + more).take(sample)


@given(st.integers(1, 10**6), st.data())
def test_a_split_is_read_back_from_its_text_and_its_folder(of: int, data: st.DataObject) -> None:
    split = Split(data.draw(st.integers(0, of - 1)), of)
    assert split_of(str(split), None) == split_of(split.shard, of) == split_of(str(split), of) == split
    assert split.folder(Path("run")) == Path("run", "shards", f"{split.shard}-of-{of}")


@pytest.mark.parametrize(
    ("shard", "shards", "said"),
    [
        ("8/8", None, "8 shards are counted from 0 to 7"),
        ("0/0", None, "0 shards are counted"),
        (-1, 8, "counted from 0 to 7"),
        ("3/8", 4, "contradict each other"),
        ("three", None, "should be i/k"),
        ("1/-2", None, "should be i/k"),
        ("3/8\n", None, "should be i/k"),
        (3, None, "of how many"),
        (None, 8, "which of them"),
    ],
)
def test_what_is_no_shard_is_refused(shard: int | str | None, shards: int | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        split_of(shard, shards)


def test_no_shard_is_a_run_in_one_piece() -> None:
    assert split_of(None, None) is None


def test_folders_of_shards_are_found_in_order_and_others_are_not(tmp_path: Path) -> None:
    names = ["10-of-12", "2-of-12", "a-of-12", ".3-of-12.removed", "2-of-12.old", "-1-of-12"]
    for name in names:
        (tmp_path / "shards" / name).mkdir(parents=True)
    found = shard_folders(tmp_path)
    assert list(found) == [Split(2, 12), Split(10, 12)]
    assert [folder.name for folder in found.values()] == ["2-of-12", "10-of-12"]
    assert not shard_folders(tmp_path / "absent")
