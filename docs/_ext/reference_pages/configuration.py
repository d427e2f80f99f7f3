"""Every configuration group and its files."""

from __future__ import annotations

from pathlib import Path

from nasbench_eval.paths import config_folder
from reference_pages.text import code

# What each group is for. A folder of configs/ that is not here, or the other way round, fails the build.
GROUPS = {
    "space": "Search spaces. Choose one with `space=NAME`; set its options with `space.X=v`.",
    "dataset": "Data sets. Choose with `dataset=NAME` or `dataset=[NAME,NAME]`.",
    "proxy": "Proxies, and groups of them. Choose with `proxy=NAME` or `proxy=[NAME,NAME]`; the options "
    "of each proxy stand in [Proxies](proxies.md).",
    "algorithm": "Search algorithms. Choose one with `algorithm=NAME`; set its options with `algorithm.X=v`.",
    "recipe": "Recipes of `nasbench-retrain`. Choose one with `recipe=NAME`; change it with `recipe.X=v`.",
    "experiment": "Sets of options that reproduce a table or figure. Choose one with `experiment=NAME`; "
    "what the command adds wins.",
    "table": "Definitions of the report's tables: `nasbench-report RUN --table NAME`, or the path of "
    "your own file.",
    "aggregate": "Aggregates of several proxies' rankings: `nasbench-report RUN --aggregate NAME`, or the "
    "path of your own file.",
    "hydra/launcher": "Where the runs of a sweep go: `nasbench-score -m ... hydra/launcher=NAME`.",
}


def page() -> str:
    """A section a group."""
    folder = config_folder()
    holding = {path.parent.relative_to(folder).as_posix() for path in folder.glob("*/**/*.yaml")}
    if holding != GROUPS.keys():
        raise ValueError(f"GROUPS and the folders of configs/ differ: {sorted(holding ^ GROUPS.keys())}")
    return "\n".join(_group(group, folder / group, meaning) for group, meaning in GROUPS.items())


def _group(name: str, folder: Path, meaning: str) -> str:
    files = sorted(folder.glob("*.yaml"))
    names = ", ".join(code(path.stem) for path in files)
    parts = [f"## {name}\n\n{meaning}\n\nFiles: {names}.\n"]
    for path in files:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
        place = path.relative_to(folder.parents[name.count("/") + 1]).as_posix()
        text = "\n".join(lines)
        parts.append(f"### {name}={path.stem}\n\n[{place}](../../{place})\n\n```yaml\n{text}\n```\n")
    return "\n".join(parts)
