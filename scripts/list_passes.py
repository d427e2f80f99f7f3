"""Write the passes of each label that the configuration defines, by which reports count what proxies share.

Reports import no proxy, so the list is a file of the package: nasbench_eval/report/ensemble/passes.csv.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from omegaconf import OmegaConf

from nasbench_eval.errors import Parser, guard
from nasbench_eval.files import write_whole
from nasbench_eval.options.typed import made
from nasbench_eval.passes.spec import ForwardSpec, PassSpec
from nasbench_eval.paths import config_folder
from nasbench_eval.report.ensemble.passes import FILE


def main() -> int:
    """Write the list; returns the exit code."""
    parser = Parser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.parse_args()
    write_whole(FILE, text().encode())
    print(f"written to {FILE}")
    return 0


def text() -> str:
    """The file's content: a row a label and pass, labels in order."""
    rows = [(label, said(each)) for label, proxy in sorted(labels().items()) for each in proxy.passes()]
    return "\n".join(["label,pass", *(f"{label},{one}" for label, one in rows)]) + "\n"


def labels() -> dict[str, Any]:
    """Every label that a file of configs/proxy defines, with its proxy."""
    found = {}
    for path in sorted((config_folder() / "proxy").glob("*.yaml")):
        node: Any = OmegaConf.to_container(OmegaConf.load(path))
        if "defaults" in node:
            continue  # a group of other files
        package = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# @package proxy")
        for label, options in ({package[1:]: node} if package else node).items():
            found[label] = made("proxies", options)
    return found


def said(one: PassSpec) -> str:
    """A pass in a word that no other pass has: what differs from the defaults."""
    forward = [f"{field.name}={value}" for field, value in _changed(one.forward)]
    return ";".join([one.forward.init, one.forward.source, *forward, one.objective, one.wrt]).replace(
        ",", " "
    )


def _changed(forward: ForwardSpec) -> list[tuple[Any, Any]]:
    values = [(field, getattr(forward, field.name)) for field in fields(forward)]
    return [(f, value) for f, value in values if f.name not in ("init", "source") and value != f.default]


if __name__ == "__main__":
    raise SystemExit(guard(main))
