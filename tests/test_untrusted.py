"""Files of others are data: nothing in the package can be made to run what stands in them."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import nasbench_eval
from nasbench_eval import errors, wording
from nasbench_eval.data.images import DamagedImages, load_images
from nasbench_eval.data.pickles import PickleRefused, load
from nasbench_eval.errors import UsageError
from nasbench_eval.report.expression import evaluate
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import load_table_spec
from nasbench_eval.runs.store import Store
from nasbench_eval.training.checkpoints import Folder

PACKAGE = Path(nasbench_eval.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What runs or overwrites whatever a file says, as dotted calls and their last parts.
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "dill.load",
    "joblib.load",
    "marshal.loads",
    "shelve.open",
    "pd.read_pickle",
    "pd.eval",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "shutil.unpack_archive",
}
METHODS = {"extractall", "extract", "eval", "query", "read_pickle"}


def calls(source: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_source_runs_what_a_file_says(source: Path) -> None:
    for name, call in calls(source):
        # `eval` of a network is its mode: it takes no argument.
        runs = name in FORBIDDEN or (name.rpartition(".")[2] in METHODS and call.args)
        assert not runs, f"{source}:{call.lineno} calls {name}"
        if name in ("np.load", "numpy.load"):
            assert keyword(call, "allow_pickle") == "False", f"{source}:{call.lineno}"
        if name == "torch.load":
            assert keyword(call, "weights_only") == "True", f"{source}:{call.lineno}"
        assert not (name.startswith("subprocess.") and keyword(call, "shell")), f"{source}:{call.lineno}"


def test_only_one_module_unpickles_and_by_its_list_of_names() -> None:
    unpickles = re.compile(r"^\s*(import|from) c?[Pp]ickle\b", re.MULTILINE)
    users = [source.name for source in SOURCES if unpickles.search(source.read_text(encoding="utf-8"))]
    assert users == ["pickles.py"]
    assert "PLAIN_DATA[(module, name)]" in (PACKAGE / "data" / "pickles.py").read_text()


class Trap:
    """Makes a file if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "sprung")


@pytest.fixture(autouse=True)
def not_sprung(tmp_path: Path) -> Iterator[None]:
    yield
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_is_not_run(trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps({"data": trap}))
    with (tmp_path / "file").open("rb") as file, pytest.raises(PickleRefused, match=r"io\.open.*was run"):
        load(file, "file")


def test_an_archive_of_arrays_is_not_run(trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    arrays = {"x_train": np.zeros((1, 32, 32, 3), np.uint8), "y_train": np.zeros(1, np.uint8)}
    np.savez(tmp_path / "images" / "cifar10.npz", classes=np.array([trap] * 10, dtype=object), **arrays)
    with pytest.raises(DamagedImages, match="Object arrays cannot be loaded"):
        load_images(tmp_path, "cifar10")


def test_a_checkpoint_is_not_run(trap: Trap, tmp_path: Path) -> None:
    folder = tmp_path / "training"
    folder.mkdir()
    state = {"epoch": 1, "identity": {}, "history": [], "network": {}, "optimizer": trap}
    torch.save(state, folder / "epoch-001.pt")
    with pytest.warns(UserWarning, match=r"epoch-001\.pt is damaged \(Weights only load failed"):
        assert Folder(folder).latest(1) is None
    assert [file.name for file in folder.iterdir()] == ["_epoch-001.pt.damaged"]


CODE = [
    "__import__('pathlib').Path({path!r}).touch()",
    "@pd.io.common.os.mkdir({path!r})",
    "score.to_csv({path!r})",
    "score.__class__.__base__",
    "[x for x in score]",
    "(lambda: score)()",
    "abs(*score)",
    "score if score else score",
    "open({path!r}, 'w')",
]


@pytest.mark.parametrize("expression", CODE)
def test_an_expression_is_arithmetic_alone(expression: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^cannot evaluate .*numbers, columns"):
        evaluate(expression.format(path=str(tmp_path / "sprung")), pd.DataFrame({"score": [1.0]}))


def test_expressions_compute_what_they_say() -> None:
    frame = pd.DataFrame({"a": [1, 4], "b": [2.0, 0.0]})
    assert evaluate("-a ** 2 + 3 * sqrt(a) / 2", frame).tolist() == [0.5, -13.0]
    assert evaluate("a / b", frame).tolist() == [0.5, np.inf]
    assert np.isnan(evaluate("log(-a)", frame)).all()
    assert evaluate("9**9**9", frame) == np.inf


def test_a_definition_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"title: !!python/object/apply:os.mkdir [{tmp_path / 'sprung'}]\n")
    with pytest.raises(UsageError, match="does not define a table"):
        load_table_spec(str(path))


# Messages


def test_a_message_is_one_printable_line_whatever_it_quotes() -> None:
    message = str(UsageError("row 3 names\n\n  '\x1b[31mred\x00' \ud800;\r\ndelete it"))
    assert message == r"row 3 names  '\x1b[31mred\x00' \ud800; delete it"
    assert str(UsageError("a  b of 'my  folder'")) == "a  b of 'my  folder'"


def test_a_long_message_keeps_both_ends() -> None:
    message = str(UsageError("n=" + "9" * 10_000 + " will not do; it should be a number"))
    assert message.startswith("n=999")
    assert message.endswith("it should be a number")
    assert len(message) <= 600


def test_what_an_error_comes_down_to() -> None:
    assert wording.first_line(ValueError("\n one \n two")) == "one"
    assert wording.first_line(KeyError()) == "KeyError"
    assert wording.shown("x" * 500, 20) == "'xxxxxxx...xxxxxxx'"


def test_a_parser_of_arguments_tells_in_one_line() -> None:
    with pytest.raises(UsageError, match="unrecognized arguments: --no-such; see --help"):
        errors.Parser(prog="p").parse_args(["--no-such"])


RECORDS = ["[" * 100_000, "[]", '{"proxies": []}', '{"earlier": [3]}', '{"datasets": {"a": 3}}']


@pytest.mark.parametrize("content", RECORDS, ids=range(len(RECORDS)))
def test_a_record_that_is_none_is_set_aside_as_it_is(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    store = Store(tmp_path, "toy", {"seed": 0, "proxies": {}}, {})
    store.close()
    assert re.search(r"run\.json is (damaged|no record of a run)", store.mended[0])
    assert (tmp_path / "_run.json.damaged").read_text() == content
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 0


def test_a_record_that_is_none_is_refused_by_who_only_reads(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match=r"run\.json is not valid JSON"):
        read_runs([tmp_path])
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
