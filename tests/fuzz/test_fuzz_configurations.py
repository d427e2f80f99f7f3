"""Command lines and configurations: runs as they were asked for, or one line and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from fuzzing import LONG, REFUSED, cases, is_a_line, own, spoiled, told, tree
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nasbench_eval.options import overrides
from nasbench_eval.report.expression import MissingColumn, evaluate
from nasbench_eval.report.spec import load_aggregate, load_table_spec
from nasbench_eval.scoring.config import Run, resolve

OmegaConf.register_new_resolver("choices", overrides.listed, replace=True)

# One word each; together in any number they make a command.
WORDS = (
    """
space=nasbench201; space=nasbench101; space.channels=8; space={name: nasbench201}; space.name=x;
dataset=cifar10; dataset=[cifar10,cifar100]; dataset.cifar10.num_classes=5; dataset.cifar10.std=[1,2,3];
proxy=intrain; proxy=[snip,params]; proxy=table1; proxy.batch_size=8; proxy.intrain.layers=cell;
+proxy.wide.name=intrain; ++proxy.wide={name: zico, batches: 3}; proxy.input=gaussian; proxy.name=5;
experiment=table1; experiment=null; n=5; n=all; n=auto; seed=3; sample_seed=1; indices=[1,2,3];
archs=[x,y]; archs=/nowhere;
sampling=stratified; dedupe=isomorphic; precision=bf16; device=cpu; workers=2; reuse=none;
data=/nowhere; results=elsewhere; run=mine; missing_images=skip; options={layers: cell}; options=3;
~proxy; ~dataset.cifar10; ~n; -m; --multirun; --cfg; job; --help; --info; --resolve; --co; seed=0,1;
proxy.layers=conv,cell; seed=range(0,3); seed=choice(1,2); n=sort(3,1); seed=glob(*);
seed=${sample_seed}; seed=${oc.env:HOME}; n=${nothing}; run=${choices:proxy}; hydra.verbose=true
""".replace("\n", " ")
    .strip()
    .split("; ")
)
pieces = st.one_of(
    st.sampled_from(
        ["", "=", ",", "[", "]", "{", "}", "(", ")", "'", '"', "\\", "${", "~", "+", "++", ".", "@", ":", "/"]
    ),
    st.sampled_from(
        ["nan", "inf", "-1", "0", "1e400", "9" * 25, "null", "true", "\n", "٣", "é", "../..", "/", "x" * 300]
    ),
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
)
words = st.one_of(st.sampled_from(WORDS), spoiled(st.sampled_from(WORDS), pieces))


def runs_of(arguments: Sequence[str]) -> list[Run]:
    line = overrides.read(arguments)
    return [resolve(config) for config in overrides.jobs(line)]


@cases(80, 1200)
@given(arguments=st.lists(words, min_size=1, max_size=4))
def test_commands(
    arguments: list[str], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(tmp_path_factory)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("NASBENCH_EVAL_DATA", raising=False)
    before = tree(folder)
    runs = told("commands", lambda: runs_of(arguments))
    assert tree(folder) == before
    for run in [] if runs is REFUSED else runs:
        assert run.indices
        assert all(0 <= index < len(run.job.space) for index in run.indices)
        assert run.job.tasks()
        assert run.folder.is_relative_to(run.options.results)
        assert ".." not in run.folder.relative_to(run.options.results).parts


COMMANDS: dict[str, list[list[str]]] = {
    "cli:score": [
        ["proxy.batch_size=-" + "9" * 400],
        ["options=3"],
        ["proxy.intrain.name=5"],
        ["run=../outside"],
        ["proxy=snip", "data=" + "x" * 300],
        ["experiment=null"],
        ["seed=9\n9"],
        ["-m", "seed=range(0,1000000000)"],
        ["dataset.cifar10.std=[0,1,1]"],
        ["dataset.cifar10.num_classes=0"],
        ["--co", "x"],
        ["--cfg"],
    ],
    "report.cli:main": [
        [],
        ["--seed", "x", "run"],
        ["--no-such"],
        ["table=" + "x" * 300],
        ["run", "--split", "train"],
        ["r" * 300],
        ["run\nof\nmine"],
    ],
    "truth.cli:main": [
        ["--nats", "x" * 300],
        ["--nasbench101", "x" * 300],
        ["--no-such"],
        ["--tables-only", "--images-only"],
        ["--out", "x" * 300, "--nats", "."],
        ["--imagenet16"],
    ],
}
ASKED = [(entry, arguments) for entry, several in COMMANDS.items() for arguments in several]


@pytest.mark.parametrize(
    ("entry", "arguments"), ASKED if LONG else ASKED[::6], ids=lambda value: str(value)[:40]
)
def test_a_command_ends_with_one_line_and_two(entry: str, arguments: list[str], tmp_path: Path) -> None:
    module, function = entry.split(":")
    code = f"import sys; from nasbench_eval.{module} import {function}; sys.exit({function}())"
    environment = {key: value for key, value in os.environ.items() if key != "NASBENCH_EVAL_DATA"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    is_a_line(done.stderr.removesuffix("\n"))
    assert not list(tmp_path.iterdir())


FORMULAS = ["gamma + resilience", "2 * score - gamma ** 2", "log(abs(score))", "-(gamma / 3.5)", "score"]
code_pieces = st.one_of(
    st.sampled_from(
        ["", "(", ")", "**", "+", "-", "/", "@", ".", "__class__", "lambda:", "[0]", "absent", "9**9**9"]
    ),
    st.sampled_from(
        ["(" * 300, "9" * 5000, "1 is 2", "'\\d'", "\n", "\0", "exec", "1e999", "1j", "True", "`gamma`"]
    ),
    st.text(max_size=3),
)


@cases(80, 1500)
@given(expression=spoiled(st.sampled_from(FORMULAS), code_pieces))
def test_expressions(expression: str) -> None:
    columns = pd.DataFrame(
        {"score": [1.0, -2.0, float("nan")], "gamma": [0, 1, 2], "resilience": [3.0, 4.0, 5.0]}
    )
    try:
        value = told("expressions", lambda: evaluate(expression, columns))
    except MissingColumn:
        return
    if isinstance(value, pd.Series):
        assert value.dtype == "float64"


DEFINITIONS = [
    "title: t\nspace: nasbench201\ntruth: t\ndatasets: [cifar10]\nrows:\n- {name: a, value: gamma + score}",
    "aggregate: rank_sum\nmembers: [snip, zen.score]\nweights: [2, 1]\n",
]
yaml_pieces = st.one_of(
    st.sampled_from(
        ["", ":", "- ", "[", "{", "}", "\n", "  ", "&a ", "*a", "!!python/object/apply:os.mkdir [sprung]"]
    ),
    st.sampled_from(
        [
            "null",
            "nan",
            "-1",
            "${title}",
            "${oc.env:HOME}",
            "\t",
            "---\n",
            "%",
            "\x00",
            "../x",
            "'",
            "!!binary a",
        ]
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=3),
)


@cases(60, 800)
@given(text=spoiled(st.sampled_from(DEFINITIONS), yaml_pieces))
def test_definitions(
    text: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(tmp_path_factory)
    monkeypatch.chdir(folder)
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    told("definitions of tables", lambda: load_table_spec(str(path)))
    told("definitions of aggregates", lambda: load_aggregate(str(path)))
    assert not (folder / "sprung").exists()
