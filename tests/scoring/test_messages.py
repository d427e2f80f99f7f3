"""What `nasbench-score` says of what comes next."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from commands import Ask, Asked

from nasbench_eval import registry
from nasbench_eval.cli import score
from nasbench_eval.report.cli import main as report

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin"
TINY = ["space.channels=4", "workers=0", "device=cpu", "reuse=none", "proxy=params", "n=2", "run=mine"]


@pytest.fixture
def ask(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    monkeypatch.chdir(tmp_path)
    return partial(asked, score, "nasbench-score")


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's search space, as if it were installed."""
    monkeypatch.syspath_prepend(EXAMPLE)
    from nasbench_example.chains import Chains

    names, find = registry.plugins, registry.find
    monkeypatch.setattr(registry, "plugins", lambda kind: (*names(kind), *["chains"][kind != "spaces" :]))
    monkeypatch.setattr(registry, "find", lambda kind, name: Chains if name == "chains" else find(kind, name))


@pytest.mark.usefixtures("chains")
def test_a_space_without_accuracies_is_not_sent_to_the_report(ask: Ask, asked: Asked) -> None:
    answer = ask("space=chains", *TINY)
    assert answer.code == 0, answer.err
    assert "nasbench-report" not in answer.err
    assert "nasbench-train space=chains makes a benchmark, to be scored with truth=" in answer.err
    refused = asked(report, "nasbench-report", "results/mine")
    assert refused.code == 2
    assert "nasbench-train space=chains makes a benchmark" in refused.err
    assert "score with truth= and its folder" in refused.err


def test_a_data_set_without_accuracies_is_told(ask: Ask, asked: Asked) -> None:
    answer = ask("space=nasbench101", "dataset=cifar100", *TINY)
    assert answer.code == 0, answer.err
    assert "warning: no accuracies of nasbench101 on cifar100 are known" in answer.err
    assert "next: " not in answer.err
    refused = asked(report, "nasbench-report", "results/mine", "--data", ".")
    assert refused.code == 2
    assert refused.err.startswith("error: no scores on cifar10: ")


def test_the_next_command_is_quoted_for_the_shell(ask: Ask) -> None:
    answer = ask(*TINY[:-1], "run=a b")
    assert answer.err.endswith("; next: nasbench-report 'results/a b'\n")
