"""What the interactive page says, and that it is whole and safe. All data are made up."""

from __future__ import annotations

import base64
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_page import (
    CELLS_201,
    EVIL,
    N,
    compute,
    made_up_scores,
    made_up_truth,
    page_of,
)

from nasbench_eval.errors import UsageError
from nasbench_eval.report import html
from nasbench_eval.report.scores import Run, Scores
from nasbench_eval.report.spec import RowSpec, TableSpec
from nasbench_eval.report.tables import Table, Truth

ARXIV = "https://arxiv.org/abs/2606.18676"


class Elements(HTMLParser):
    """What a browser would make of a page: its tags, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.append((self.tags[-1][0], data))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_nothing_is_fetched(tmp_path: Path, scores: Scores, truths: dict[str, Truth], table: Table) -> None:
    text = page_of(tmp_path, scores, truths=truths, tables=[table])
    page = Elements(text)
    addresses = [
        v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href") and v
    ]
    assert {a for a in addresses if not a.startswith(("#", "data:"))} == {ARXIV}
    assert not re.search(r"url\((?!#)|@import|import\(|fetch\(|XMLHttpRequest", text)
    assert all(
        address in (ARXIV, "http://www.w3.org/2000/svg") for address in re.findall(r"https?://[\w./]+", text)
    )
    [policy] = [meta["content"] for meta in page.named("meta") if "http-equiv" in meta]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy


def test_the_tables_are_there_without_scripts(
    tmp_path: Path, scores: Scores, truths: dict[str, Truth], table: Table
) -> None:
    page = Elements(page_of(tmp_path, scores, truths=truths, tables=[table, table]))
    rows = [row for row in page.named("tr") if "data-proxy" in row]
    assert len(rows) == 2 * (table.rows["n"] > 0).sum()  # those that nobody scored are left out
    assert {row["data-split"] for row in rows} == {"test", "val"}
    tau = table.rows["kendall_tau"].iloc[0]
    assert ("td", f"{tau:.3f}") in {(tag, text.strip()) for tag, text in page.texts}
    texts = {text.strip() for _, text in page.texts}
    assert {"Half of snip", "half", "Made up"} <= texts
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    links = {link["href"] for link in page.named("a")}
    assert {link[1:] for link in links if link and link.startswith("#")} <= set(identities)


def test_foreign_text_is_shown_and_never_run(tmp_path: Path, truths: dict[str, Truth]) -> None:
    archs = [f"{arch}{EVIL}" for arch in CELLS_201[:N]]
    found = made_up_scores(["snip", EVIL], archs, ["cifar10", EVIL], command=f"nasbench-score {EVIL}")
    run = Run(Path("a" + EVIL.replace("/", "")), found.runs[0].config)
    scores = Scores((run,), found.frames, dict.fromkeys(found.frames, run))
    evil = {"nasbench201": made_up_truth(archs)}
    rows = [RowSpec("snip", title=EVIL, note=EVIL)]
    spec = TableSpec(EVIL, "nasbench201", EVIL, ["cifar10", EVIL], paper=EVIL, rows=rows, others=True)
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    text = page_of(
        tmp_path,
        scores,
        truths=evil,
        tables=[compute(scores, evil, spec, EVIL)],
        record={"runs": [{"run": EVIL, "device": EVIL, EVIL: {EVIL: EVIL}}], "settings": {EVIL: EVIL}},
        figures=[(EVIL, tmp_path / "a.svg")],
        sections=[(EVIL, EVIL, pd.DataFrame({EVIL: [EVIL]}, index=pd.Index([EVIL], name=EVIL)))],
        command=EVIL,
    )
    page = Elements(text)
    assert {name for name, _ in page.tags} >= {"table", "pre", "figure"}
    assert [image["src"][:18] for image in page.named("img") if image["src"]] == ["data:image/svg+xml"]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert text.count("</script>") == text.count("<script")
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert "<" not in data
    assert json.loads(data)["spaces"][0]["datasets"][1]["title"] == EVIL
    assert "49" not in re.findall(r"<h1>.*</h1>", text)[0]


def test_sections_show_any_frame(tmp_path: Path, scores: Scores) -> None:
    frame = pd.DataFrame(
        {
            "p": [1e-9, 0.25, np.nan],
            "n": [12345, 2, 3],
            "better": [True, False, True],
            "who": ["b", None, "a"],
            ("two", "heads"): [123456.0, 0.0, -1.0],
        },
        index=pd.Index(["x", "y", "z"], name="proxy"),
    )
    text = page_of(tmp_path, scores, sections=[("Pairs", "Said of them.", frame), ("Empty", "", frame[:0])])
    page = Elements(text)
    cells = [value for tag, value in page.texts if tag in ("th", "td") and value.strip()]
    assert cells == [
        *("x", "1e-09", "12,345", "yes", "b", "1.23e+05"),
        *("y", "0.250", "2", "no", "–", "0.000"),
        *("z", "–", "3", "yes", "a", "-1.000"),
    ]
    assert [value for tag, value in page.texts if tag == "button" and value.strip()][1:7] == (
        ["proxy", "p", "n", "better", "who", "two heads"]
    )
    values = [cell.get("data-value") for cell in page.named("td")]
    assert values[:2] == ["1e-09", "12345.0"]
    assert "Said of them." in text


def test_figures_are_carried_along(tmp_path: Path, scores: Scores) -> None:
    contents = {"png": b"\x89PNG", "svg": b"<svg/>", "pdf": b"%PDF"}
    for ending, content in contents.items():
        (tmp_path / f"fig.{ending}").write_bytes(content)
    page = Elements(page_of(tmp_path, scores, figures=[(f"As {e}", tmp_path / f"fig.{e}") for e in contents]))
    assert [image["alt"] for image in page.named("img")] == ["As png", "As svg"]
    sources = [image["src"] for image in page.named("img")]
    [link] = [a for a in page.named("a") if "download" in a]
    assert link["download"] == "fig.pdf"
    for source, content in zip([*sources, link["href"]], contents.values(), strict=True):
        assert source is not None
        assert base64.b64decode(source.partition(",")[2]) == content


@pytest.mark.parametrize(("name", "message"), [("a.html", "no figure"), ("absent.png", "cannot read")])
def test_a_figure_that_is_none_is_refused(tmp_path: Path, scores: Scores, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        page_of(tmp_path, scores, figures=[("x", tmp_path / name)])


def test_commands_and_provenance(tmp_path: Path, scores: Scores) -> None:
    run = {
        "run": "made_up",
        "seed": 3,
        "versions": {"torch": "9.9"},
        "device": "cpu",
        "proxies": {"snip": {"a": 1}},
    }
    text = page_of(tmp_path, scores, record={"runs": [run], "settings": {"resamples": 9}})
    assert '<pre id="commands">nasbench-score n=40\nnasbench-report made_up</pre>' in text
    assert "torch 9.9" in text
    assert "&#34;snip&#34;: {" in text
    assert "resamples 9" in text
    assert "eprint        = {2606.18676}" in text
    silent = made_up_scores(["snip"], CELLS_201[:N], ["cifar10"])
    assert "No command is recorded for made_up." in page_of(tmp_path, silent)


def test_the_same_report_is_the_same_page(
    tmp_path: Path, scores: Scores, truths: dict[str, Truth], table: Table
) -> None:
    first, second = (page_of(tmp_path / n, scores, truths=truths, tables=[table]) for n in "ab")
    assert first == second


def test_without_plotly_one_line_says_so(
    tmp_path: Path, scores: Scores, truths: dict[str, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    html._plotly.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(
        UsageError, match=r"^the HTML page needs Plotly; pip install 'nasbench_eval\[html\]'$"
    ):
        page_of(tmp_path, scores, truths=truths)
