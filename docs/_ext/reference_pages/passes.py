"""What a proxy may ask for: passes, and the observers that are shown them."""

from __future__ import annotations

import inspect
import typing
from dataclasses import MISSING, fields
from typing import Any

from nasbench_eval import passes, registry
from nasbench_eval.passes import spec, weights
from nasbench_eval.passes.spec import OBJECTIVES
from nasbench_eval.training import Training
from reference_pages import trial
from reference_pages.text import (
    code,
    described,
    docstring,
    entries,
    kind,
    option_value,
    prose,
    summary,
    table,
)

# The Literal types that a pass is made of, with the option that has such a value.
_CHOICES = {
    "Init": "ForwardSpec.init",
    "Source": "ForwardSpec.source",
    "BatchNorm": "ForwardSpec.bn",
    "Body": "ForwardSpec.body",
    "Objective": "PassSpec.objective",
    "Wrt": "PassSpec.wrt",
}


def page() -> str:
    """The two specs, their values, and which objective can be differentiated by what."""
    choices = [
        [code(name), code(field), ", ".join(code(v) for v in typing.get_args(getattr(spec, name)))]
        for name, field in _CHOICES.items()
    ]
    pairs = [[code(wrt), ", ".join(map(code, objectives))] for wrt, objectives in OBJECTIVES.items()]
    return "\n".join(
        [
            _spec(passes.PassSpec),
            "### Objectives by what they are differentiated by\n",
            table(["`wrt`", "objectives"], pairs),
            _spec(passes.ForwardSpec),
            "### Values\n",
            table(["type", "field", "values"], choices),
            "### Initialisations\n",
            prose(docstring(weights)) + "\n",
            _spec(Training),
        ]
    )


def _spec(cls: Any) -> str:
    hints, meanings = typing.get_type_hints(cls, include_extras=True), described(cls)
    rows = [
        [
            code(f.name),
            "required" if f.default is MISSING else option_value(f.default),
            kind(hints[f.name]),
            prose(meanings.get(f.name, "")),
        ]
        for f in fields(cls)
    ]
    body = table(["field", "default", "type", "meaning"], rows)
    return f"### {cls.__name__}\n\n{prose(summary(cls))}\n\n{body}"


def observers() -> str:
    """The callbacks of `Observer`, and the two observers that need none."""
    base = passes.Observer
    rows: list[list[str]] = []
    for name, function in vars(base).items():
        if inspect.isfunction(function):
            names = ", ".join(list(inspect.signature(function).parameters)[1:])
            rows.append([code(f"{name}({names})"), prose(docstring(function))])
    parts = [
        f"### Observer\n\n{prose(summary(base))}\n",
        table(["attribute", "meaning"], [[code(k), prose(v)] for k, v in entries(base).items()]),
        table(["callback", "when and what"], rows),
    ]
    for cls in (passes.LayerObserver, passes.GradientObserver):
        arguments = [[code(k), prose(v)] for k, v in entries(cls, "Args").items()]
        parts.append(f"### {cls.__name__}\n\n{prose(summary(cls))}\n\n{table(['argument', ''], arguments)}")
    return "\n".join(parts)


def records() -> str:
    """What each proxy's observers leave for its `score`."""
    rows = []
    for name in registry.own("proxies"):
        made = registry.find("proxies", name)().passes()
        for number, (asked, seen) in enumerate(zip(made, trial.records(name), strict=True)):
            rows.append(
                [
                    code(f"{name}: records[{number}]"),
                    code(asked.objective),
                    code(asked.wrt),
                    seen.observer,
                    seen.keys,
                ]
            )
    return table(["record", "objective", "`wrt`", "observer", "keys and shapes"], rows)
