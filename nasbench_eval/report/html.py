"""Draws a computed report as one page: HTML that asks nothing of the network. Nothing is computed here.

The page carries its style, its scripts and its data, Plotly's library among them. What comes from runs and
tables is escaped by Jinja, which also writes the JSON; the scripts put text into the page as text alone.
"""

from __future__ import annotations

import base64
import json
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from nasbench_eval import __version__
from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.report.draw import EMPTY, caption, sample_size
from nasbench_eval.report.page.points import collect_points, squeeze
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.tables import GROUPS, PAPER, Table, Truth
from nasbench_eval.report.titles import DATASETS, SPLITS

NAME = "report.html"
# In the order in which they need each other; they share one scope.
SCRIPTS = ("page.js", "cell.js", "decode.js", "scatter.js")
MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".pdf": "application/pdf"}
LEADERS = 3
WIDTH = 150

BIBTEX = """@inproceedings{zhou2026intrain,
  title         = {{InTrain}: Intrinsic Trainability for Zero-Cost Neural Architecture Search},
  author        = {Zhou, Qinqin and Chen, Fuhai and Wu, Jipeng and Chen, Zhiwei and Hu, Zhikai and
                   Cai, Weiwei},
  booktitle     = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year          = {2026},
  eprint        = {2606.18676},
  archivePrefix = {arXiv},
}

@software{nasbench_eval,
  title   = {nasbench\\_eval: zero-cost NAS proxies judged against tabular benchmarks},
  author  = {{The nasbench\\_eval authors}},
  version = {%s},
}
"""


@dataclass(frozen=True)
class Column:
    """A table's column: its head, and what its cells hold: text, numbers, or ranges, which do not sort."""

    title: str
    kind: str = "text"


@dataclass(frozen=True)
class Range:
    """A correlation on a scale of 0 to `WIDTH`; None for what there is not."""

    ticks: list[float]
    low: float | None
    high: float | None
    at: float | None
    published: float | None
    ceiling: float | None


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and by what it is sorted if not by that; `note` is set smaller, behind it."""

    text: str
    value: float | str | None = None
    note: str = ""
    range: Range | None = None


@dataclass(frozen=True)
class Row:
    """Cells, and what the row is filtered by."""

    cells: list[Cell]
    keys: Mapping[str, str] = field(default_factory=dict)


def write_html(
    folder: Path,
    *,
    tables: Sequence[Table],
    scores: Scores,
    truths: Mapping[str, Truth],
    record: Mapping[str, Any],
    figures: Sequence[tuple[str, Path]] = (),
    sections: Sequence[tuple[str, str, pd.DataFrame]] = (),
    command: str,
    lead: str = "",
) -> Path:
    """Write `report.html`, which opens without a network; returns its path.

    The page holds the accuracies of the scored architectures. Without `truths` it holds none and has no
    scatter plot.

    Args:
        folder: where to, made if it is not there.
        tables: the computed tables, in order.
        scores: what they were computed from.
        truths: the accuracies of each space that is to be plotted; a data set or split that one raises
            `UsageError` for is left out.
        record: how the tables were made, as `report.json` says it.
        figures: titles and files; PNG and SVG are shown, PDF is offered for download.
        sections: further tables as title, note and frame; an index with a name becomes the first column.
        command: the one that made the report.
        lead: stands below the title; empty for what the tables have.

    Raises:
        UsageError: if Plotly is not installed, if scores and accuracies do not belong together, if a figure
            cannot be read, or if the page cannot be written.
    """
    points = collect_points(tables, scores, truths)
    drawn = [_table(table, f"table-{number}") for number, table in enumerate(tables)]
    further = [_section(*section, f"section-{number}") for number, section in enumerate(sections)]
    page = _environment().get_template("report.html.j2")
    text = page.render(
        title=f"Zero-cost proxies: {', '.join(run.name for run in scores.runs)}",
        lead=lead or _lead(tables),
        contents=_contents(drawn, bool(points.spaces), bool(figures), further),
        leaders=_leaders(tables[0]) if tables else [],
        leaders_title=f"Highest Kendall τ, {_split(tables[0].splits[0])}" if tables else "",
        tables=drawn,
        points=points,
        plotly=_plotly() if points.spaces else "",
        figures=[_figure(title, path) for title, path in figures],
        sections=further,
        **_commands(scores, command),
        **_provenance(record),
        bibtex=BIBTEX % __version__,
        version=__version__,
        style=_asset("style.css"),
        theme=_asset("theme.js"),
        script=Markup("\n").join(_asset(name) for name in SCRIPTS),
    )
    path = folder / NAME
    write_whole(path, text.encode())
    return path


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("nasbench_eval.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> Markup:
    # The package's own text, so it needs no escaping; and none of it ends its element.
    return Markup((Path(__file__).parent / "page" / name).read_text(encoding="utf-8"))


@cache
def _plotly() -> str:
    """Plotly's JavaScript as a block: a third of its size.

    Raises:
        UsageError: if Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError("the HTML page needs Plotly; pip install 'nasbench_eval[html]'") from None
    return squeeze(get_plotlyjs().encode())


def _lead(tables: Sequence[Table]) -> str:
    parts = []
    for table in tables:
        measured = table.rows[table.rows["n"] > 0]
        if len(measured):
            n_proxies, n_datasets = measured["proxy"].nunique(), measured["dataset"].nunique()
            parts.append(
                f"{table.spec.title}: {n_proxies} {'row' if n_proxies == 1 else 'rows'} on "
                f"{n_datasets} {'data set' if n_datasets == 1 else 'data sets'}, "
                f"{sample_size(measured)} architectures."
            )
    return " ".join(parts) or "No row of these tables was measured."


def _contents(
    tables: Sequence[dict[str, Any]], scatter: bool, figures: bool, sections: Sequence[dict[str, Any]]
) -> list[dict[str, str]]:
    parts = [{"id": table["id"], "title": table["short"]} for table in tables]
    parts += [{"id": "scatter", "title": "Scatter"}] if scatter else []
    parts += [{"id": "figures", "title": "Figures"}] if figures else []
    parts += [{"id": section["id"], "title": section["title"]} for section in sections]
    parts += [{"id": "reproduce", "title": "Reproduce and cite"}, {"id": "provenance", "title": "Provenance"}]
    return parts


def _leaders(table: Table) -> list[dict[str, Any]]:
    """The rows with the highest τ on each data set, in the first split."""
    rows = table.rows[(table.rows["split"] == table.splits[0]) & table.rows["kendall_tau"].notna()]
    leaders = []
    for dataset in table.spec.datasets:
        best = rows[rows["dataset"] == dataset].nlargest(LEADERS, "kendall_tau")
        places = [
            {
                "proxy": row["title"],
                "tau": _number(row["kendall_tau"]),
                "interval": _interval(row, "kendall"),
            }
            for row in best.to_dict("records")
        ]
        if places:
            leaders.append({"title": DATASETS.get(dataset, dataset), "places": places})
    return leaders


def _table(table: Table, identity: str) -> dict[str, Any]:
    """A table's columns and rows, ready to be drawn."""
    columns = ["kendall_tau", "kendall_low", "kendall_high", "published_tau"]
    figures = table.rows[columns].to_numpy(dtype=np.float64).ravel().tolist()
    figures += [ceiling.kendall_tau for ceiling in table.ceilings.values()]
    known = [figure for figure in figures if not math.isnan(figure)]
    scale = (math.floor(10 * min([0.0, *known])) / 10, math.ceil(10 * max([0.1, *known])) / 10)
    marks = ["● τ", *["◇ paper"] * table.compared, *["┆ noise ceiling"] * bool(table.ceilings)]
    places = [(dataset, split) for dataset in table.spec.datasets for split in table.splits]
    rows = [row for place in places for row in table.drawn(*place).to_dict("records")]
    answers = [
        f"{DATASETS.get(dataset, dataset)}, {_split(split)}: {said}"
        for (dataset, split), every in table.answers.items()
        for said in every
    ]
    return {
        "id": identity,
        "short": table.name,
        "title": table.spec.title,
        "datasets": [(name, DATASETS.get(name, name)) for name in table.spec.datasets],
        "splits": [(name, _split(name)) for name in table.splits],
        "columns": [
            Column("Proxy"),
            Column("Kendall τ", "number"),
            Column(f"{', '.join(marks)}; {scale[0]:g} to {scale[1]:g}", "range"),
            *[Column("τ paper", "number")] * table.compared,
            Column("Spearman ρ", "number"),
            *[Column("ρ paper", "number")] * table.compared,
            Column("n", "number"),
            Column("failed", "number"),
            # Last, in this order: the style hides them while the filter says what they would.
            Column("Data set"),
            Column("Split"),
        ],
        "rows": [_row(row, table, scale) for row in rows],
        "caption": caption(table),
        "notes": [*answers, *filter(None, [table.unscored()]), *table.notes],
    }


def _row(row: Mapping[Any, Any], table: Table, scale: tuple[float, float]) -> Row:
    def at(value: float) -> float | None:
        low, high = scale
        return None if math.isnan(value) else round(WIDTH * (value - low) / (high - low), 2)

    name, title = str(row["proxy"]), str(row["title"])
    note = " · ".join([name] * (title != name) + [GROUPS[row["group"]]] * (row["group"] != PAPER))
    ceiling = table.ceilings.get((row["dataset"], row["split"]))
    low, high = at(row["kendall_low"]), at(row["kendall_high"])
    whole = Range(
        ticks=[tick for tick in (at(0.0), at(0.5)) if tick is not None and tick <= WIDTH],
        low=low if high is not None else None,
        high=high,
        at=at(row["kendall_tau"]),
        published=at(row["published_tau"]),
        ceiling=at(ceiling.kendall_tau) if ceiling else None,
    )
    cells = [
        Cell(title, note=note),
        _estimate(row, "kendall_tau", "kendall"),
        Cell("", range=whole),
        *[_published(row["published_tau"], table.spec.decimals)] * table.compared,
        _estimate(row, "spearman_rho", "spearman"),
        *[_published(row["published_rho"], table.spec.decimals)] * table.compared,
        Cell(f"{row['n']:,}", float(row["n"])),
        Cell(f"{row['n_failed']:,}" if row["n"] else EMPTY, float(row["n_failed"])),
        Cell(DATASETS.get(row["dataset"], row["dataset"])),
        Cell(str(row["split"])),
    ]
    keys = {"proxy": f"{title} {name}", "dataset": str(row["dataset"]), "split": str(row["split"])}
    return Row(cells, keys)


def _estimate(row: Mapping[Any, Any], metric: str, stem: str) -> Cell:
    value = float(row[metric])
    return Cell(_number(value), "" if math.isnan(value) else value, _interval(row, stem))


def _split(name: str) -> str:
    return SPLITS.get(name, name)


def _published(value: float, decimals: int) -> Cell:
    return Cell(_number(value, decimals), "" if math.isnan(value) else value)


def _interval(row: Mapping[Any, Any], stem: str) -> str:
    low, high = float(row[f"{stem}_low"]), float(row[f"{stem}_high"])
    return str(row["interval"]) if math.isnan(low) or math.isnan(high) else f"[{low:.3f}, {high:.3f}]"


def _number(value: float, decimals: int = 3) -> str:
    return EMPTY if math.isnan(value) else f"{value:.{decimals}f}"


def _section(title: str, note: str, frame: pd.DataFrame, identity: str) -> dict[str, Any]:
    named = any(name is not None for name in frame.index.names)
    shown = frame.reset_index(allow_duplicates=True) if named else frame
    names: list[object] = list(shown.columns)
    heads = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names]
    kinds = ["number" if is_numeric_dtype(t) and not is_bool_dtype(t) else "text" for t in shown.dtypes]
    return {
        "id": identity,
        "title": title,
        "note": note,
        "columns": [Column(head, kind) for head, kind in zip(heads, kinds, strict=True)],
        "rows": [Row([_cell(value) for value in values]) for values in shown.itertuples(index=False)],
    }


def _cell(value: Any) -> Cell:
    """A value of unknown kind: numbers keep their full precision for sorting."""
    if value is None or value is pd.NA or value is pd.NaT:
        return Cell(EMPTY, "")
    if isinstance(value, (bool, np.bool_)):
        return Cell("yes" if value else "no")
    if isinstance(value, numbers.Integral):
        return Cell(f"{int(value):,}", float(value))
    if isinstance(value, numbers.Real):
        number = float(value)
        usual = number == 0 or 1e-3 <= abs(number) < 1e5
        text = EMPTY if math.isnan(number) else f"{number:,.3f}" if usual else f"{number:.3g}"
        return Cell(text, "" if math.isnan(number) else number)
    return Cell(str(value))


def _figure(title: str, path: Path) -> dict[str, Any]:
    kind = MEDIA.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path} is no figure that a page can hold; {', '.join(MEDIA)} are")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the figure {path}: {error.strerror or error}") from error
    source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return {"title": title, "file": path.name, "source": source, "image": path.suffix.lower() != ".pdf"}


def _commands(scores: Scores, command: str) -> dict[str, str]:
    known = {run.name: run.config.get("command") for run in scores.runs}
    lines = dict.fromkeys(str(line) for line in known.values() if line)
    return {
        "commands": "\n".join([*lines, command]),
        "unknown_commands": ", ".join(name for name, line in known.items() if not line),
    }


def _provenance(record: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in record.items() if key not in ("runs", "tables", "figures")}
    return {
        "runs": [_run(run) for run in record.get("runs", [])],
        "report_summary": _summary(record.get("settings", {})),
        "report_record": _json(rest),
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's record: what is one line as facts, the rest as JSON."""
    nested = {
        key: value for key, value in run.items() if isinstance(value, dict | list) and key != "versions"
    }
    facts = [(key, str(value)) for key, value in run.items() if key not in nested and key != "versions"]
    versions = run.get("versions", {})
    if versions:
        facts.append(("versions", _summary(versions)))
    known = {"commit": str(run.get("commit", ""))[:10], "device": run.get("device"), "seed": run.get("seed")}
    return {
        "name": str(run.get("run", "run")),
        "summary": ", ".join(f"{key} {value}" for key, value in known.items() if value not in (None, "")),
        "facts": facts,
        "configs": [(key, _json(value)) for key, value in nested.items()],
    }


def _summary(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)
