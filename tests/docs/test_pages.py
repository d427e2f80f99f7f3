"""The code in README.md and docs/ does what the pages say it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pages
import pytest

from nasbench_eval.data.folder import VARIABLE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the blocks of a page, which see the same data folder as this process.

    Figures that a page leaves open, as pandas does, are closed: other tests look for such.
    """
    named = Path(os.environ.get(VARIABLE) or "data")
    monkeypatch.setenv(VARIABLE, str(named.resolve()))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.relative_to(pages.ROOT)))
def test_the_code_of_a_page_runs(page: Path, folder: Path) -> None:
    ran = pages.run(page, folder)
    for reason in ran.skipped:
        print(f"left out, {page.name} {reason}")
    if not ran.blocks:
        pytest.skip("; ".join(ran.skipped))


def written(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("```python\nassert 1 + 1 == 3\n```", AssertionError),
        ("```python\nimport nasbench_evil\n```", ModuleNotFoundError),
        ("```sh\nfalse | true\n```", AssertionError),
        ("```sh\nnasbench-score proxy=snap\n```", AssertionError),
        ("```console\n$ echo one\ntwo\n```", AssertionError),
        ("- in a list\n\n  ```python\n  raise KeyError\n  ```", KeyError),
    ],
)
def test_a_wrong_block_fails(block: str, error: type[Exception], folder: Path) -> None:
    page = written(folder, f"# A page\n\n{block}\n")
    with pytest.raises(error):
        pages.run(page, folder)


def test_blocks_share_names_and_a_folder(folder: Path) -> None:
    page = written(
        folder,
        "```python\nfrom pathlib import Path\nPath('a.txt').write_text('five\\n')\nx = 5\n```\n"
        "```console\n$ cat a.txt\nfive\n$ date\n...\n```\n```python\nassert x == 5\n```\n",
    )
    assert pages.run(page, folder) == pages.Ran(3, [])


def test_a_block_is_left_out_with_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = written(
        folder,
        '<!--- skip: next "for a cluster" -->\n```sh\nfalse\n```\n```sh\ntrue\n```\n'
        '<!--- skip: next if(no_data, reason="no tables") -->\n```sh\ntrue\n```\n'
        "```python\nimport nasbench_eval\nnasbench_eval.load_truth('nasbench201')\n```\n",
    )
    monkeypatch.setenv(VARIABLE, str(folder))
    ran = pages.run(page, folder)
    assert ran.blocks == 1
    assert [reason.partition(": ")[2] for reason in ran.skipped] == [
        "for a cluster",
        "no tables",
        "there are no accuracies on this machine",
    ]
