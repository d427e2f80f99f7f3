"""`nasbench_eval.run`, `sweep` and `diagnose`."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from torch import nn

import nasbench_eval
from nasbench_eval.errors import Undefined, UsageError

TINY = ["space.channels=4", "space.cells_per_stage=1"]
SMALL = ["proxy.batch_size=4", "proxy.resolution=16"]
EIGHT = {"naswot": {"batch_size": 8}, "snip": {"batch_size": 8}}


# run


def test_a_run_from_python_is_the_commands(tmp_path: Path, asked: object) -> None:
    words = [*TINY, *SMALL, "proxy=[intrain,params]"]
    finished = nasbench_eval.run(*words, n=3, results=tmp_path, workers=0, run="python", quiet=True)
    assert finished.folder == tmp_path / "python"
    from nasbench_eval.cli import score as command

    code = asked(  # type: ignore[operator]
        command, "nasbench-score", *words, "n=3", f"results={tmp_path}", "workers=0", "run=shell"
    )
    assert code.code == 0 if hasattr(code, "code") else True
    pd.testing.assert_frame_equal(
        finished.scores(), nasbench_eval.load_scores(tmp_path / "shell"), check_exact=True
    )


def test_nothing_of_hydras_is_left(tmp_path: Path) -> None:
    before = os.getcwd()
    nasbench_eval.run(*TINY, proxy="params", n=2, results=tmp_path, workers=0, quiet=True)
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is None
    assert os.getcwd() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [next(tmp_path.iterdir()).name]


def test_a_script_without_a_guard_is_run_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    words = [*TINY, *SMALL, "proxy=[intrain]"]
    script.write_text(
        f"print('once')\nimport nasbench_eval\n"
        f"print(len(nasbench_eval.run(*{words!r}, n=2, workers=1, results={str(tmp_path)!r}).scores()))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["once", "2"], done.stderr


def test_a_run_continues(tmp_path: Path) -> None:
    for n in (2, 4):
        finished = nasbench_eval.run(
            *TINY, "proxy=params", n=n, results=tmp_path, run="one", workers=0, quiet=True
        )
    assert len(finished.scores()) == 4


def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasbench_eval.run(*TINY, proxy="params", n=2, results=tmp_path, workers=0, quiet=True)
    assert capsys.readouterr() == ("", "")
    nasbench_eval.run(*TINY, proxy=["params", "flops"], n=2, results=tmp_path, workers=0)
    assert "2 cells" in capsys.readouterr().err


def test_a_report_is_read(tmp_path: Path) -> None:
    finished = nasbench_eval.run(
        "truth=digits", "proxy=[params]", n=30, results=tmp_path, workers=0, quiet=True
    )
    tables = finished.report("--figures", "none", "--resamples", "0")
    assert tables
    assert any("params" in set(table.astype(str).stack()) for table in tables.values())


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["proxy=snipp"], {}, "snip"),
        (["n=two"], {}, "n"),
        ([], {"nn": 3}, "nn"),
        (["--help"], {}, "options"),
        (["-m", "seed=0,1"], {}, "options"),
    ],
)
def test_mistakes_are_one_line(words: list[str], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nasbench_eval.run(*words, **options)
    assert not GlobalHydra.instance().is_initialized()


# sweep


def of(width: int = 4, depth: int = 1, act: str = "relu") -> nn.Module:
    acts = {"relu": nn.ReLU, "gelu": nn.GELU}
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3)]
    for _ in range(depth):
        layers += [nn.BatchNorm2d(width), acts[act](), nn.Conv2d(width, width, 3, padding=1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def test_a_sweep_has_sizes_means_and_spreads() -> None:
    found = nasbench_eval.sweep(
        of,
        width=[4, 8],
        depth=[1, 2],
        proxies=["naswot", "snip"],
        seeds=2,
        options=EIGHT,
        progress=False,
    )
    assert found.frame.index.names == ["width", "depth"]
    assert found.proxies == ["naswot", "snip"]
    by_seed = [
        nasbench_eval.score(
            {"width=8,depth=2": of(8, 2)}, ["snip"], seed=seed, options={"snip": {"batch_size": 8}}
        )
        for seed in (0, 1)
    ]
    values = [float(each["snip"].iloc[0]) for each in by_seed]
    assert found.frame.loc[(8, 2), "snip"] == pytest.approx(np.mean(values))
    assert found.frame.loc[(8, 2), "snip_std"] == pytest.approx(np.std(values, ddof=1))
    assert found.frame.loc[(8, 2), "params"] == sum(p.numel() for p in of(8, 2).parameters())
    figure = found.figure()
    assert [axes.get_title() for axes in figure.axes if axes.get_visible()] == [
        "naswot",
        "snip",
        "params",
        "flops",
    ]


def test_a_sweep_over_words_and_one_seed(tmp_path: Path) -> None:
    found = nasbench_eval.sweep(
        of,
        {"act": ["relu", "gelu"]},
        proxies="naswot",
        seeds=1,
        options={"naswot": {"batch_size": 8}},
        progress=False,
    )
    assert found.frame["naswot_std"].isna().all()
    found.figure().savefig(tmp_path / "sweep.png")


def test_a_seed_without_a_score_leaves_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    from nasbench_eval.api import sweep as module

    def second_fails(*args: Any, **given: Any) -> pd.DataFrame:
        found = nasbench_eval.score(*args, **given)
        return found * float("nan") if given.get("seed") == 1 else found

    monkeypatch.setattr(module, "score", second_fails)
    found = nasbench_eval.sweep(
        of, width=[4], proxies="naswot", seeds=3, options={"naswot": {"batch_size": 8}}, progress=False
    )
    assert found.frame[["naswot", "naswot_std"]].isna().all(axis=None)
    assert found.frame[["params", "flops"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "name an argument"),
        ({"width": 4}, "width=4: give a list"),
        ({"width": []}, "give a list"),
        ({"wide": [4]}, "wide=4: the function that builds it raised TypeError"),
        ({"width": [4], "seeds": 0}, "seeds=0"),
        ({"width": list(range(101)), "depth": list(range(101))}, "10,201 networks"),
        ({"width": [4], "settings": {"seed": 1}}, "settings: seed cannot be set"),
        ({"width": [4], "settings": {"details": True}}, "settings: details cannot be set"),
        ({"act": ["tanh"]}, "act=tanh: the function that builds it raised KeyError"),
    ],
)
def test_a_sweep_of_nothing(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nasbench_eval.sweep(of, progress=False, **given)  # type: ignore[arg-type]


# diagnose


@pytest.mark.parametrize("proxy", ["intrain", "intrain_cell"])
def test_the_parts_make_the_score(proxy: str) -> None:
    network = networks.drawn(networks.Transformer() if proxy == "intrain_cell" else networks.Grouped())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nasbench_eval.diagnose(network, proxy, options={"batch_size": 8})
        expected = nasbench_eval.score(network, [proxy], options={proxy: {"batch_size": 8}}, details=True)
    assert found.score["score"] == expected.loc["network", (proxy, "score")]
    assert found.layers["log_pr"].sum() == pytest.approx(found.score["gamma"])
    assert found.tensors["health"].sum() == pytest.approx(found.score["resilience"])
    assert len(found.layers) == found.score["layers"]
    assert ((found.layers["share"] > 0) & (found.layers["share"] <= 1 + 1e-9)).all()


def test_the_weakest_is_named(tmp_path: Path) -> None:
    network = of(8, 2)
    with torch.no_grad():
        conv = network[3]
        assert isinstance(conv, nn.Conv2d)
        conv.weight.zero_()
    found = nasbench_eval.diagnose(network, init="keep", options={"batch_size": 8})
    assert found.layers.loc["3", "dead"]
    assert "dead: the output is constant." in found.weakest
    assert "The narrowest layer is" in found.weakest
    assert "The least healthy gradient is that of" in str(found)
    found.figure().savefig(tmp_path / "diagnosis.png")


def test_diagnose_refuses() -> None:
    with pytest.raises(UsageError, match="not into snip"):
        nasbench_eval.diagnose(of(), "snip")
    with pytest.raises(UsageError, match="unknown proxy"):
        nasbench_eval.diagnose(of(), "intrian")
    with pytest.raises(Undefined, match="no repeated blocks"):
        nasbench_eval.diagnose(of(), "intrain_cell", options={"batch_size": 8})
