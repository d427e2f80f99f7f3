"""What is made of searches on MobileNetV2: networks that are compared, scores with other weights, Table 2."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from nasbench_eval.report.search.unjudged import study
from nasbench_eval.spaces.mobilenetv2 import MobileNetV2

SPACE = MobileNetV2()


def scores(rows: dict[tuple[str, int, str], float]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"arch": a, "seed": s, "label": label, "score": x} for (a, s, label), x in rows.items()]
    )


def test_published_networks_keep_to_their_budgets() -> None:
    known = study.published_networks()
    assert known["name"].is_unique
    for row in known.to_dict("records"):
        arch = SPACE.parse(row["arch"])
        assert SPACE.format(arch) == row["arch"]
        # Zen-NAS's largest is a little above the number that its name has.
        assert SPACE.budgeted(arch) <= row["budget_millions"] * 1.01e6, row["name"]


def test_random_networks_have_nearly_the_budget_s_flops() -> None:
    found = study.random_networks()
    assert len(set(found)) == study.RANDOM
    flops = [SPACE.budgeted(SPACE.parse(text)) / 1e6 for text in found]
    assert all(0.9 * study.BUDGET <= each <= study.BUDGET for each in flops)
    assert study.random_networks() == found


def test_each_network_is_compared_once() -> None:
    random = study.random_networks()
    seeds = pd.DataFrame(
        {
            "algorithm": ["aznas"] * 3,
            "guide": ["intrain", "intrain", "zen"],
            "seed": [0, 1, 0],
            "arch": [random[0], "of a larger budget", random[1]],
            "budgeted": [4.4e8, 5.9e8, 4.4e8],
        }
    )
    archive = pd.DataFrame({"step": range(40), "arch": [f"a{place}" for place in range(40)]})
    pool = study.structures(seeds, archive)
    assert pool["arch"].is_unique
    assert pool["group"].iloc[:2].tolist() == ["found by aznas, intrain", "found by aznas, zen"]
    assert "of a larger budget" not in pool["arch"].tolist()
    assert pool["group"].value_counts()["archive"] == study.ARCHIVE
    assert pool.loc[pool["group"] == "archive", "arch"].iloc[[0, -1]].tolist() == ["a0", "a39"]
    few = study.sixty_four(pool).tolist()
    assert len(few) == 64 or set(few) >= set(pool.loc[~pool["group"].str.startswith("found"), "arch"])
    assert random[0] in few


def test_finds_are_scored_again() -> None:
    seeds = pd.DataFrame(
        {
            "algorithm": "aznas",
            "guide": ["intrain", "az_nas"],
            "seed": [0, 0],
            "arch": ["a", "b"],
            "told_intrain": [200.0, np.nan],
        }
    )
    again = study.scored_again(seeds, scores({("a", 1, "intrain"): 180.0, ("a", 2, "intrain"): 184.0}))
    [row] = again.to_dict("records")
    assert (row["told"], row["again"]) == (200, 182)
    assert row["lost_percent"] == pytest.approx(9)


def test_groups_are_ranked_among_all() -> None:
    pool = pd.DataFrame({"group": ["x", "x", "y", "y"], "name": list("abcd"), "arch": list("abcd")})
    told = scores(
        {(arch, seed, "zen"): place + seed for place, arch in enumerate("abcd") for seed in (0, 1)}
        | {(arch, 0, "params"): -place for place, arch in enumerate("abcd")}
    )
    ranks = study.ranks_by_group(pool, told, ["zen", "params"]).set_index("group")
    assert ranks.loc["y", "zen"] == pytest.approx((100 * 2 / 3 + 100) / 2)
    assert ranks.loc["y", "params"] == pytest.approx((0 + 100 / 3) / 2)
    assert ranks["networks"].tolist() == [2, 2]


def test_an_aggregate_adds_up_logarithms_of_ranks() -> None:
    members = study.AGGREGATES["az_nas"]
    told = scores({(a, 0, m): x for m in members for a, x in zip("abc", (3.0, 1.0, 2.0), strict=True)})
    found = study.guided(told)["az_nas"]
    assert found.to_dict() == pytest.approx({"a": 4 * np.log(3), "b": 0, "c": 4 * np.log(2)})


def test_a_search_is_looked_at_by_the_clock() -> None:
    trials = pd.DataFrame(
        {
            "seed": 0,
            "step": [0, 1, 2, 3],
            "told_x": [3.0, 5.0, np.nan, 9.0],
            "wall_seconds": [1.0, 2.0, 3.0, 9.0],
        }
    )
    found = study.on_the_clock(trials, "x", (0.5, 3, 10))
    assert found["candidates"].tolist() == [0, 3, 4]
    assert np.isnan(found["best"][0])
    assert found["best"].tolist()[1:] == [5.0, 9.0]


def test_settings_are_compared_by_tau() -> None:
    rng = np.random.default_rng(0)
    archs = [f"n{place}" for place in range(12)]
    one, two, full = (dict(zip(archs, rng.random(12), strict=True)) for _ in range(3))
    small = scores({(a, 1, "intrain"): one[a] for a in archs} | {(a, 2, "intrain"): two[a] for a in archs})
    pool = pd.DataFrame({"arch": archs})
    found = study.settings(pool, small, scores({(a, 0, "intrain"): full[a] for a in archs}), "intrain")
    taus = {(row["one"], row["other"]): row["tau"] for row in found.to_dict("records")}
    assert set(taus) == {
        ("small, seed 1", "small, seed 2"),
        ("small, seed 1", "full"),
        ("small, seed 2", "full"),
        ("small, mean of seeds", "full"),
    }
    expected = kendalltau(list(one.values()), list(two.values()))[0]
    assert taus["small, seed 1", "small, seed 2"] == pytest.approx(expected)


def test_table_2_has_the_published_rows_and_ours_without_an_accuracy() -> None:
    seeds = pd.DataFrame(
        {
            "algorithm": ["aznas (max_flops=450000000)", "random", "aznas"],
            "guide": ["intrain", "intrain", "zen"],
            "seed": [0, 0, 0],
            "budgeted": [4.4e8] * 3,
            "macs": [4.3e8] * 3,
            "params": [3e6] * 3,
            "proxy_seconds": [864.0] * 3,
            **{name: [4.5e8] * 3 for name in study._COUNTED},
        }
    )
    table = study.table2(seeds)
    ours = table[table["network"].str.contains("here")]
    assert len(ours) == 1
    assert ours["budget"].item() == 450
    assert ours["cpu_days"].item() == pytest.approx(0.01)
    assert ours["top1_published"].isna().all()
    row = table[(table["network"] == "InTrain-NAS") & (table["budget"] == 450)]
    assert row["top1_published"].item() == 78.9
    assert row["flops_published"].item() == 455
    assert table["budget"].is_monotonic_increasing


def test_table_2_fits_a_terminal() -> None:
    seeds = pd.DataFrame(
        {
            "algorithm": ["aznas (max_flops=1000000000, max_layers=16)"],
            "guide": ["intrain"],
            "seed": [0],
            "budgeted": [9.9e8],
            "macs": [9.8e8],
            "params": [13.3e6],
            "proxy_seconds": [86400.0 * 3],
            **{name: [1.01e9] for name in study._COUNTED},
        }
    )
    lines = study.table2_text(study.table2(seeds)).splitlines()
    assert max(map(len, lines)) <= 100
    [own] = [line for line in lines if "here, seed 0 *" in line]
    assert own.split()[-7:] == ["1,010", "1,010", "1,010", "980", "13.3", "–", "3.0000"]
    assert any(line.split() == ["InTrain-NAS", "1,013", *"––––", "81.3", "0.4"] for line in lines)
