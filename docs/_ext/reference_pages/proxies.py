"""Every proxy: what its module says, its options, the passes it asks for, and what it costs."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from omegaconf import OmegaConf

from nasbench_eval import registry
from nasbench_eval.passes import ForwardSpec, PassSpec
from nasbench_eval.paths import config_folder
from reference_pages import trial
from reference_pages.text import (
    ROOT,
    code,
    described,
    docstring,
    kind,
    option_value,
    prose,
    source_link,
    summary,
    table,
)

COSTS = ROOT / "results" / "bench" / "latest-cpu.json"


@dataclass(frozen=True)
class Label:
    """A name under which a proxy is scored, and where it differs from the defaults."""

    name: str
    proxy: str
    file: str
    changed: dict[str, Any]


@cache
def labels() -> dict[str, Label]:
    """Every label that a file of configs/proxy defines."""
    found = {}
    for path in sorted((config_folder() / "proxy").glob("*.yaml")):
        node: Any = OmegaConf.to_container(OmegaConf.load(path))
        package = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# @package proxy")
        if "defaults" in node:
            continue  # a group of other files
        for name, options in ({package[1:]: node} if package else node).items():
            proxy = options["name"]
            defaults = {f.name: getattr(registry.find("proxies", proxy)(), f.name) for f in _options(proxy)}
            given = {k: v for k, v in options.items() if k != "name"}
            changed = {k: v for k, v in given.items() if v != defaults[k]}
            found[name] = Label(name, proxy, path.name, changed)
    return found


def _options(name: str) -> tuple[Any, ...]:
    return fields(registry.find("proxies", name))


@cache
def costs() -> dict[str, dict[str, Any]]:
    """What each proxy costs, by name, from the committed measurement."""
    figures = json.loads(COSTS.read_text(encoding="utf-8"))["proxies"]["figures"]
    found: dict[str, dict[str, Any]] = {}
    for figure in figures.values():
        if len(figure["labels"]) == 1:
            for label in (*figure["labels"], *figure["alike"]):
                found.setdefault(label, figure)
    return found


def _cost(name: str) -> str:
    """In bare passes at the size that the benchmark of costs refers to."""
    figure = costs().get(name)
    return f"{figure['reference']['together']:.2g}" if figure else "–"


def _reads_images(name: str) -> bool:
    forwards = [spec.forward for spec in registry.find("proxies", name)().passes()]
    return any(f.imaged or f.training is not None for f in forwards)


def overview() -> str:
    """A row a proxy."""
    rows = [
        [
            f"[`{name}`](#{name.replace('_', '-')})",
            prose(cls.info.reference),
            "yes" if _reads_images(name) else "no",
            str(len(cls().passes())),
            _cost(name),
        ]
        for name in registry.own("proxies")
        for cls in [registry.find("proxies", name)]
    ]
    return table(["proxy", "reference", "reads images", "passes", "cost"], rows)


def page() -> str:
    """A section a proxy."""
    return "\n".join(_section(name) for name in registry.own("proxies"))


def _section(name: str) -> str:
    cls = registry.find("proxies", name)
    module = __import__(cls.__module__, fromlist=["_"])
    facts = [
        ["version", str(cls.info.version)],
        ["reference", prose(cls.info.reference)],
        ["columns", ", ".join(map(code, (*cls.info.columns, "score")))],
        ["cost", _cost_sentence(name)],
        ["source", source_link(cls)],
    ]
    return "\n".join(
        [
            f"({name.replace('_', '-')})=\n## {name}\n",
            _paragraphs(docstring(module)) + "\n",
            _paragraphs(summary(cls)) + "\n",
            table(["", ""], facts),
            _labels(name),
            _option_table(name, cls),
            _pass_table(name, cls().passes()),
        ]
    )


def _paragraphs(text: str) -> str:
    """A docstring's text; indented formulas stay code."""
    blocks = []
    for block in text.split("\n\n"):
        if block.startswith("    "):
            blocks.append("```text\n" + "\n".join(line[4:] for line in block.splitlines()) + "\n```")
        else:
            blocks.append(prose(block))
    return "\n\n".join(blocks)


def _cost_sentence(name: str) -> str:
    figure = costs().get(name)
    if figure is None:
        return "not measured"
    size, own, reference = figure["size"], figure["own"]["together"], figure["reference"]["together"]
    return (
        f"{own:.3g} bare passes of its own size (B = {size['batch_size']}, R = {size['resolution']}), "
        f"{reference:.2g} of the search space's network at B = 64, R = 32; "
        f"[measured](../../{COSTS.relative_to(ROOT).as_posix()}) on a CPU"
    )


def _labels(name: str) -> str:
    rows = [
        [code(each.name), code(f"configs/proxy/{each.file}"), _changes(each)]
        for each in sorted(labels().values(), key=lambda label: (label.name != name, label.name))
        if each.proxy == name
    ]
    return f"Labels:\n\n{table(['label', 'defined in', 'options that differ from the defaults'], rows)}"


def _changes(label: Label) -> str:
    return ", ".join(code(f"{k}={v}") for k, v in label.changed.items()) or "none"


def _option_table(name: str, cls: Any) -> str:
    if not fields(cls):
        return "It has no options.\n"
    hints, meanings = get_type_hints(cls, include_extras=True), described(cls)
    rows = [
        [
            code(f"proxy.{name}.{f.name}="),
            "" if f.default is MISSING else option_value(f.default),
            kind(hints[f.name]),
            prose(meanings[f.name]),
        ]
        for f in fields(cls)
    ]
    return f"Options:\n\n{table(['option', 'default', 'type', 'meaning'], rows)}"


def _pass_table(name: str, specs: tuple[PassSpec, ...]) -> str:
    rows = []
    for spec, record in zip(specs, trial.records(name), strict=True):
        rows.append(
            [code(spec.objective), code(spec.wrt), _forward(spec.forward), record.observer, record.keys]
        )
    header = ["objective", "differentiated by (`wrt`)", "forward pass", "observer", "keys of its record"]
    return f"Passes at the defaults:\n\n{table(header, rows)}"


_SHORT = {"source": "input", "batch_size": "B", "resolution": "R"}


def _forward(spec: ForwardSpec) -> str:
    """What sets a forward pass apart: weights, input and size, then whatever is not its default."""
    always = ("init", "source", "batch_size", "resolution", "bn")
    parts = []
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name in always or value != field.default:
            shown = "the data set's" if field.name == "resolution" and value is None else value
            parts.append(f"{_SHORT.get(field.name, field.name)} {shown}")
    return prose(", ".join(parts))
