"""What is measured: proxies and groups of them, each a job for the scoring machinery.

A reading is what `nasbench-score` would be asked for, on CIFAR-10 with its 10 classes.  A batch costs the
same whatever it shows: inputs are Gaussian where a proxy would read images, so that no data is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache

from nasbench_eval import registry
from nasbench_eval.options import overrides
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.scoring.config import Run, resolve
from nasbench_eval.scoring.job import Job

# Members of Table 1 that need a few passes at most; the four from expressivity to flops are AZ-NAS's.
FEW_PASS = (
    "grad_norm",
    "snip",
    "fisher",
    "naswot",
    "jacov",
    "synflow",
    "zen",
    "zico",
    "grasp",
    "expressivity",
    "progressivity",
    "trainability",
    "flops",
    "params",
)
FEW_PASS_TITLE = "table1_few_pass"
FEW_PASS_OPTION = f"proxy=[{','.join(FEW_PASS)}]"
_TE_NAS = "proxy=[ntk_condition,linear_regions]"
# Groups in one run, and other readings than the defaults, by title: options of nasbench-score.
GROUPS: dict[str, tuple[str, ...]] = {
    FEW_PASS_TITLE: (FEW_PASS_OPTION,),
    "table1": ("proxy=table1",),
    "te_nas": (_TE_NAS,),
    "te_nas, bn=eval": (_TE_NAS, "proxy.ntk_condition.bn=eval"),
    "te_nas, bn=alone": (_TE_NAS, "proxy.ntk_condition.bn=alone"),
    "te_nas, thin": ("proxy=te_nas",),
}
# What the targets are judged by, besides the members of the few-pass group alone.
JUDGED = ("intrain", "vkdnw", "gradsign", FEW_PASS_TITLE, "te_nas", "te_nas, bn=eval")
# Which to measure of proxies that cost the same.
_FIRST = ("ntk_condition", "vkdnw")


@dataclass(frozen=True)
class Reading:
    """Something to measure.

    Attributes:
        title: its name in the record.
        job: what is scored, all in one run.
        alike: proxies that run the same passes with the same observer, and so cost the same.
    """

    title: str
    job: Job
    alike: tuple[str, ...] = ()


@cache
def compose(*options: str) -> Run:
    """The run that nasbench-score makes of options, but on Gaussian input where a proxy would read images.

    Raises:
        UsageError: on a name or an option that is unknown, naming the nearest.
    """
    [config] = overrides.jobs(overrides.read(["space=nasbench201", "dataset=[cifar10]", "n=1", *options]))
    run = resolve(config)
    proxies = {label: _on_gaussian_input(proxy) for label, proxy in run.job.proxies.items()}
    return replace(run, job=replace(run.job, proxies=proxies))


def _on_gaussian_input(proxy: Proxy) -> Proxy:
    """And without the training of one that trains, which takes images and is no pass."""
    options = {f.name: getattr(proxy, f.name) for f in fields(proxy)}  # type: ignore[arg-type]
    reads_images = options.get("input") in ("images", "crops")
    untrained = {"epochs": 0} if options.get("epochs") else {}
    return replace(proxy, input="gaussian", **untrained) if reads_images else proxy  # type: ignore[type-var]


def named(names: Iterable[str]) -> list[Reading]:
    """A reading for each name: a title of `GROUPS`, or what nasbench-score's proxy= offers.

    Raises:
        UsageError: on an unknown name, naming the nearest.
    """
    return [Reading(name, compose(*GROUPS.get(name, (f"proxy={name}",))).job) for name in names]


def alone() -> list[Reading]:
    """Every proxy by itself, at its defaults; of those that cost the same one, which names the others."""
    families: dict[object, list[Reading]] = {}
    for reading in named(dict.fromkeys([*_FIRST, *registry.names("proxies")])):
        [proxy] = reading.job.proxies.values()
        families.setdefault((proxy.passes(), type(proxy).observe), []).append(reading)
    return [replace(first, alike=tuple(r.title for r in others)) for first, *others in families.values()]


def judged() -> list[Reading]:
    """What the targets are judged by: their readings, and the few-pass group's members alone."""
    return named(dict.fromkeys([*JUDGED, *FEW_PASS]))
