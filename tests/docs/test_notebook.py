"""The notebook in `examples` runs from its first cell to its last, and holds no outputs."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return read


def code(cell: dict[str, Any]) -> str:
    """The Python of a cell, without Jupyter's commands to itself (`%`) and to the shell (`!`)."""
    lines = "".join(cell["source"]).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def test_it_is_a_notebook_of_format_4(notebook: dict[str, Any]) -> None:
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"] == {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    names = [cell["id"] for cell in notebook["cells"]]
    assert len(set(names)) == len(names)
    for cell in notebook["cells"]:
        assert all(isinstance(line, str) for line in cell["source"])
        wanted = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
        assert set(cell) == wanted
        assert cell["cell_type"] in ("code", "markdown")


def test_its_links_lead_to_files(notebook: dict[str, Any]) -> None:
    text = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\((.*?)\)", text)
    assert links
    assert not [link for link in links if not (NOTEBOOK.parent / link).is_file()]


def test_it_holds_no_outputs(notebook: dict[str, Any]) -> None:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_all_its_cells_run(notebook: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    # As in Jupyter, where a script's own guard would be true, but nothing can import the notebook again.
    names: dict[str, Any] = {"__name__": "__main__"}
    said = io.StringIO()
    try:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                with contextlib.redirect_stdout(said):
                    exec(compile(code(cell), f"{NOTEBOOK.name}, {cell['id']}", "exec"), names)
    finally:
        plt.close("all")
    assert len(names["networks"]) == 3
    assert names["sweep"].frame["intrain"].notna().all()
    assert names["scores"].shape == (50, 2)
    assert len(names["tables"]["benchmark"]) == 4
    for words in ("The narrowest layer is", "Rank correlation"):
        assert words in said.getvalue()
