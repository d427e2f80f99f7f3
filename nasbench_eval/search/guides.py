"""What a search is guided by: proxies that are scored, or accuracies that a benchmark holds.

A guide never holds the accuracy that a search is judged by: of final accuracies it is given those on
validation images alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.options.overrides import choices, nodes_of
from nasbench_eval.options.typed import SearchOptions
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.registry import UnknownName
from nasbench_eval.runs.record import read_record
from nasbench_eval.scoring.config import proxies_of
from nasbench_eval.search.course import judge_of
from nasbench_eval.search.guide import Judge
from nasbench_eval.search.told import Kind, Told
from nasbench_eval.work.subject import Subject

# Accuracies that guide a search, and what each is.
ACCURACIES = {
    "val": "final validation accuracy, as a whole training brings it",
    "accuracy_12": "accuracy after a training of 12 epochs",
}
Rank = Literal["rank", "log"]


@dataclass(frozen=True)
class Guide:
    """What an algorithm is told.

    Attributes:
        name: as on the command line; several names joined with +.
        kind: whether a proxy, several that are ranked, or accuracies.
        judge: how what is told compares.
        proxies: those that are scored, by label; none for accuracies.
    """

    name: str
    kind: Kind
    judge: Judge
    proxies: Mapping[str, Proxy]

    @property
    def values(self) -> tuple[str, ...]:
        """Names of what is told of an architecture."""
        return self.judge.values


def guide_of(options: SearchOptions, shared: Mapping[str, Any]) -> Guide:
    """The guide that options name.

    Args:
        options: of the search.
        shared: options of proxies, as `proxy.X=` gives them.

    Raises:
        UsageError: if there is no such guide, or it takes no such option.
    """
    names = [options.guide] if isinstance(options.guide, str) else list(options.guide)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"guide={list(names)}: name at least one, and each once")
    for name in names:
        if name not in known_guides():
            raise UnknownName("guide", name, known_guides())
    if accuracies := [name for name in names if name in ACCURACIES]:
        if len(names) > 1:
            raise UsageError(f"guide={accuracies[0]} guides alone; leave the others out")
        return _accuracy(accuracies[0], options, shared)
    nodes = nodes_of(names)
    if options.options_from is not None:
        nodes = _as_in(options.options_from, nodes)
    nodes = _with_own(nodes, shared)
    proxies = proxies_of(nodes, {key: value for key, value in shared.items() if not _is_own(value)})
    labels, rank = tuple(proxies), options.ranks
    if len(names) == 1 and names[0] in configured("aggregate"):
        labels, rank = _aggregate(names[0], rank)
    name = "+".join(names)
    if len(labels) == 1:
        return Guide(name, "proxy", judge_of("proxy", labels, rank), proxies)
    used = {label: proxies[label] for label in labels}
    return Guide(name, "aggregate", judge_of("aggregate", labels, rank), used)


def _as_in(run: Path, labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Proxies with the options that they have in a run."""
    scored = read_record(run)["proxies"]
    for label in labels:
        if label not in scored:
            has = ", ".join(sorted(scored))
            raise UsageError(f"options_from={run}: that run has no {label}; it has {has}")
    return {label: {k: v for k, v in scored[label].items() if k != "version"} for label in labels}


def _is_own(value: Any) -> bool:
    """Whether an option is a proxy's own: `proxy.NAME.X=` in place of `proxy.X=`."""
    return isinstance(value, dict)


def _with_own(nodes: dict[str, dict[str, Any]], shared: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Proxies with the options that are given to one of them by label."""
    own = {label: values for label, values in shared.items() if _is_own(values)}
    for label in own:
        if label not in nodes:
            raise UnknownName("proxy of this guide", label, nodes)
    return {label: {**node, **own.get(label, {})} for label, node in nodes.items()}


def known_guides() -> list[str]:
    """The names of all guides."""
    return sorted({*ACCURACIES, *choices("proxy")})


def _aggregate(name: str, rank: Rank | None) -> tuple[tuple[str, ...], Rank]:
    """The members of an aggregate of this package, and what of their ranks it adds up."""
    spec: Any = OmegaConf.load(config_folder() / "aggregate" / f"{name}.yaml")
    own: dict[str, Rank] = {"rank_sum": "rank", "log_rank_sum": "log"}
    if spec.aggregate not in own:
        raise UsageError(f"guide={name} adds up no ranks, but is a {spec.aggregate}, which no search knows")
    return tuple(map(str, spec.members)), rank or own[spec.aggregate]


def _accuracy(name: str, options: SearchOptions, shared: Mapping[str, Any]) -> Guide:
    if shared:
        given = ", ".join(f"proxy.{key}=" for key in shared)
        raise UsageError(f"guide={name} has no options; leave {given} out")
    if name == "accuracy_12" and options.truth is not None:
        raise UsageError(f"guide={name} is NAS-Bench-201's; truth={options.truth} has val")
    kind: Kind = "val" if name == "val" else "accuracy_12"
    return Guide(name, kind, judge_of(kind, (name,), None), {})


def accuracies(guide: Guide, subject: Subject, dataset: DataSet, data: Path | None) -> Told:
    """The accuracies of a guide of such a kind.

    Raises:
        UsageError: if they are not here.
    """
    from nasbench_eval.search import oracle  # brings pandas and SciPy, which scores do without

    return oracle.told(guide.kind, subject, dataset.name, data)
