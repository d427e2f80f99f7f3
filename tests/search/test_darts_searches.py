"""Searches in the DARTS space: pruned, repeated, drawn and compared with what was published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from commands import Ask, Asked
from histories import history

from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.verify.cli import main as verify

ROOT = Path(__file__).resolve().parents[2]
FREE = ["dataset=cifar10", "device=cpu", "workers=0", "guide=params"]
PRUNE = ["space=darts_supernet", "algorithm=prune", "algorithm.prune=9", "seeds=1", "steps=400", *FREE]
SINGLE = ["space=darts_supernet", "space.masks=single"]


def test_a_supernet_is_pruned_to_a_genotype_and_again_to_the_same(ask: Ask, asked: Asked, tell: Ask) -> None:
    first = ask(*PRUNE, "run=a")
    assert first.code == 0, first.err
    found = history("results/a")
    genotype = DARTS().parse(found["incumbent"].iloc[-1])
    assert len(found) == 1 + 196 + 1 + 3 + 4 + 1 + 5 + 1 + 3 + 4 + 1 + 5 + 1
    assert all(len(node) == 2 for cell in genotype.cells for node in cell)
    # Parameters guide: the separable convolutions of 5x5 pixels are missed most.
    assert {edge.operation for cell in genotype.edges for edge in cell} == {"sep_conv_5x5"}
    for again in (["run=b", "lag=5"], ["run=c", "save_every=0", "steps=100"], ["run=c", "save_every=0"]):
        assert ask(*PRUNE, *again).code == 0
    assert history("results/b")["incumbent"].iloc[-1] == str(found["incumbent"].iloc[-1])
    columns = ["step", "arch", "incumbent"]
    pd.testing.assert_frame_equal(found[columns], history("results/c")[columns])
    good = asked(verify, "nasbench-verify", "results/a")
    assert good.code == 0, good.out

    told = tell("results/a")
    assert told.code == 0, told.err
    tables = Path("results/a/tables")
    assert (tables / "figures" / "cells_cifar10.png").is_file()
    assert (tables / "answers.txt").read_text() == f"{genotype}\n"
    study = [sys.executable, ROOT / "scripts" / "study_teg_darts.py", "results/a"]
    done = subprocess.run(study, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = pd.read_csv(tables / "study" / "genotypes.csv")
    millions = DARTS().params(genotype, num_classes=10) / 1e6
    assert listed["params_cifar_M"].tolist() == pytest.approx([millions], rel=1e-5)
    table3 = pd.read_csv(tables / "study" / "table3.csv").set_index("row")
    assert table3.loc["TE-NAS", "published_error"] == 2.63
    assert table3.loc["FP-NAS + TEG", "published_params_M"] == 4.42


def test_the_study_says_what_it_needs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "scripts" / "study_teg_darts.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nasbench-report" in done.stderr


@pytest.mark.parametrize("algorithm", ["reinforce", "fp_nas"])
def test_a_policy_searches_genotypes(ask: Ask, tell: Ask, algorithm: str) -> None:
    for space in ("space=darts", "space=darts_supernet"):
        options = [*SINGLE, *FREE][1:] if "supernet" in space else FREE
        answer = ask(space, *options, f"algorithm={algorithm}", "steps=30", "seeds=2", f"run={space[6:]}")
        assert answer.code == 0, answer.err
        told = tell(f"results/{space[6:]}", "--landscape", "none")
        assert told.code == 0, told.err
        assert Path("results", space[6:], "tables/figures/landscape_cifar10.png").is_file()
    # The same draws lead to the same genotypes, until what was told parts them.
    key = DARTS().canonical
    firsts = [history(f"results/{name}").query("step == 0")["arch"] for name in ("darts", "darts_supernet")]
    one, other = ([key(DARTS().parse(text)) for text in texts] for texts in firsts)
    assert one == other


def test_a_fork_s_landscape(ask: Ask, tell: Ask) -> None:
    policy = [*SINGLE, *FREE, "algorithm=reinforce"]
    assert ask(*policy, "steps=20", "seeds=1", "run=a").code == 0
    forked = ask(*policy, "fork=results/a", "fork_step=10", "seeds=[1,2]", "steps=25", "run=b")
    assert forked.code == 0, forked.err
    assert tell("results/b", "--landscape", "none").code == 0
    for options, line in (
        (["results/b", "--landscape", "results/a"], "--landscape none"),
        (["results/a", "--landscape", "none"], "two seeds or two forks"),
        (["results/a", "--tau", "results/a"], "is an option of reports of searches with accuracies"),
    ):
        told = tell(*options)
        assert (told.code, told.err.count("\n")) == (2, 1)
        assert line in told.err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["space=darts", "algorithm=prune"], "space=darts_supernet, with space.masks=all"),
        ([*SINGLE, "algorithm=prune"], "space=darts_supernet, with space.masks=all"),
        (["space=darts_supernet", "algorithm=reinforce"], "needs a space whose architectures are lists"),
        (["space=darts_supernet", "space.channels=0"], "at least 1"),
        (["space=darts", "algorithm=tpe"], "reinforce and fp_nas take this one"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(ask: Ask, options: list[str], line: str) -> None:
    if "algorithm=tpe" in options:
        pytest.importorskip("optuna")
    told = ask(*FREE, *options, "seeds=1", "steps=3", "run=x")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert line in told.err
