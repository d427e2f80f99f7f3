"""The study of timm's run: rankings over all, within recipes, by family, given size and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from nasbench_eval.report import study

N = 40
ARCHS = [f"net{i:02d}" for i in range(N)]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Forty architectures: size helps, depth does not; `good` follows accuracy, `late` has gaps."""
    rng = np.random.default_rng(0)
    size = rng.permutation(N).astype(float)
    accuracy = 60 + 0.5 * size + rng.normal(0, 3, N)
    frame = pd.DataFrame(
        {
            "params": size,
            "(depth)": rng.permutation(N).astype(float),
            "good": accuracy + rng.normal(0, 0.5, N),
            "late": np.where(np.arange(N) < 8, np.nan, -accuracy),
            "imagenet1k_test": accuracy,
        },
        index=ARCHS,
    )
    for name in study.PUBLISHED:
        frame[name] = size
    return frame


def test_over_all(frame: pd.DataFrame) -> None:
    table = study.overall(frame, ["good", "late", "params"]).set_index("score")
    expected = kendalltau(frame["good"], frame["imagenet1k_test"]).statistic
    assert table.loc["good", "tau"] == pytest.approx(expected)
    assert table.loc["good", "low"] < expected < table.loc["good", "high"]
    assert table.loc["late", "n"] == N - 8
    assert table.loc["late", "tau"] == pytest.approx(-1)
    # What is known of a score given itself is nothing.
    assert np.isnan(table.loc["params", "tau_given_params"])
    assert table.loc["good", "tau_given_params"] > 0.5


def test_within_recipes(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pd.DataFrame(
        {
            "arch": [*ARCHS[:12], *ARCHS[12:15]],
            "tag": ["a1_in1k"] * 12 + ["rare_in1k"] * 3,
            "top1": np.arange(15.0),
        }
    )
    monkeypatch.setattr(study.timm, "recipes", lambda folder: rows)
    table = study.by_recipe(frame, ["good"], Path())
    assert list(table["group"]) == ["a1_in1k"]  # three architectures say nothing
    expected = kendalltau(frame.loc[ARCHS[:12], "good"], np.arange(12.0)).statistic
    assert table["good"].iloc[0] == pytest.approx(expected)


def test_by_family_and_between_families(frame: pd.DataFrame) -> None:
    table = study.by_family(frame, ["good"], lambda arch: "even" if int(arch[3:]) % 2 == 0 else "odd")
    assert set(table["group"]) == {"even", "odd", "(means of families)"}
    even = frame.loc[[arch for arch in ARCHS if int(arch[3:]) % 2 == 0]]
    expected = kendalltau(even["good"], even["imagenet1k_test"]).statistic
    assert table.set_index("group").loc["even", "good"] == pytest.approx(expected)


def test_as_markdown() -> None:
    text = study.markdown("overall", pd.DataFrame({"score": ["a"], "tau": [0.12345], "low": [np.nan]}))
    assert "| a | 0.123 | – |" in text
