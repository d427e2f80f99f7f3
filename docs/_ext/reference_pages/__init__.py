"""Writes the generated half of the reference, docs/reference/generated, from the package and its YAML.

Pages in docs/reference include these files. Nothing that the code says is typed a second time: where a
meaning has to be written down here, what it belongs to is compared with the code, and a difference fails
the build.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.application import Sphinx

if TYPE_CHECKING:
    from collections.abc import Callable


def writers() -> dict[str, Callable[[], str]]:
    """The files, and what makes the text of each."""
    # Only now, since they import PyTorch: pages without a reference do not wait for it.
    from reference_pages import columns, commands, configuration, options, passes, proxies, tables

    return {
        "commands": commands.page,
        "options_score": options.score,
        "options_train": options.train,
        "options_retrain": options.retrain,
        "options_search": options.search,
        "proxies_overview": proxies.overview,
        "proxies": proxies.page,
        "passes": passes.page,
        "observers": passes.observers,
        "records": passes.records,
        "configuration": configuration.page,
        "columns_scores": columns.scores,
        "columns_run": columns.run,
        "columns_tables": columns.tables,
        "columns_search": columns.searches,
        "tables": tables.page,
        "aggregates": tables.aggregates,
    }


def generate(folder: Path) -> None:
    """Write every file that has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in writers().items():
        file, text = folder / f"{name}.md", write()
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def _generate(app: Sphinx) -> None:
    if (Path(app.srcdir) / "reference").is_dir():
        generate(Path(app.srcdir) / "reference" / "generated")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", _generate)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
