"""`nasbench_eval.score`: what proxies say of any PyTorch classifier."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch

from nasbench_eval.api.given import Given, Networks, given, ordinary, settle, untouched
from nasbench_eval.api.inputs import Shown, shown
from nasbench_eval.errors import Undefined, UsageError
from nasbench_eval.networks.adapted import Adapted
from nasbench_eval.options.overrides import choices, nodes_of
from nasbench_eval.options.typed import fields_of, typed
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Choosy, Proxy
from nasbench_eval.registry import UnknownName
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.config import proxies_of
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.wording import first_line

Proxies = str | Proxy | Sequence[str | Proxy] | Mapping[str, Proxy]
Options = Mapping[str, Mapping[str, Any]]


class ScoreWarning(UserWarning):
    """A proxy came to no score of a network; the message says why."""


@dataclass(frozen=True)
class Asked:
    """One network and what is asked of it.

    Attributes:
        network: its copy that passes run through.
        job: what decides its scores.
        readings: by proxy, how its definition is read there.
    """

    network: Adapted
    job: Job
    readings: Mapping[str, list[str]]


def score(
    networks: Networks,
    proxies: Proxies = ("intrain", "snip"),
    *,
    input: tuple[int, ...] | None = None,
    classes: int | None = None,
    images: object = None,
    labels: object = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    init: Init | None = None,
    head: str | None = None,
    blocks: Sequence[str] | None = None,
    options: Options | None = None,
    details: bool = False,
    data: Path | str | None = None,
) -> pd.DataFrame:
    """Score classifiers with zero-cost proxies.

    The networks stay as they are: passes run through copies, and the global random generators are put back.
    Weights are drawn by each proxy's own rule from the seed, the network's name and the names of its tensors,
    unless `init="keep"`.  Dropout and stochastic depth are off.

    Args:
        networks: a network (`torch.nn.Module`), a function that builds one, or several of these by name.  A
            function is called when it is its network's turn, with seeded global generators.
        proxies: names as for `nasbench-score proxy=`, of groups of them too; or proxies of one's own, alone
            or by label.
        input: shape of an input, (channels, height, width); (3, 32, 32) without images.
        classes: classes that the networks tell apart; a check, since they show it themselves.
        images: what proxies on data are shown: floats of shape (N, channels, height, width), scaled as the
            networks take them, of which mini-batches are drawn; or the name of a data set: `digits`, which is
            embedded, or one whose images `nasbench-data` has built.  Without any they are shown Gaussian
            noise with random labels.
        labels: classes of the images, (N,).
        seed: of weights, inputs and mini-batches.
        device: where to run; None where the network is.
        init: how all weights are drawn: `kaiming`, `torch_default` or `gaussian`; `keep` leaves them as they
            are.  None takes each proxy's own rule.
        head: name of the linear layer that gives the logits; None finds it.  A network without one is scored
            by its logits.
        blocks: names of the blocks of the body; None takes the modules that it repeats.
        options: options of proxies by their name or label, `{"intrain": {"layers": "cell"}}`.
        details: give components, seconds, status, reading and error of each score besides.
        data: folder of a data set's images; None for $NASBENCH_EVAL_DATA, then ./data.

    Returns:
        A row a network, a column a proxy; higher predicts a better network.  With `details` the columns are
        (proxy, column).  NaN where there is no score; a `ScoreWarning` says why.  Where a network does not
        take inputs of a proxy's own size, it is shown the size of `input`, unless `options` sets another; its
        `reading` says so.

    Raises:
        UsageError: if something is no classifier, or an option will not do; the message says what to do.
    """
    pictures = shown(input, images, labels, data)
    chosen = chosen_proxies(proxies, options or {}, init)
    place = device_of(device)
    rows: dict[str, dict[tuple[str, str], object]] = {}
    with untouched():
        for each in given(networks, pictures.shape, seed, head, blocks):
            with ordinary():
                asked = ask(each, chosen, pictures, classes, seed, options or {})
                where = place or device_in(asked.network)
                rows[each.label] = _row(each, asked, pictures, seed, where)
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.columns = pd.MultiIndex.from_tuples(list(frame.columns), names=["proxy", "column"])  # type: ignore[arg-type]
    frame.index.name = "network"
    if details:
        return frame
    only = pd.DataFrame(frame.xs("score", axis="columns", level="column"))
    only.columns.name = "proxy"
    return only


def chosen_proxies(proxies: Proxies, options: Options, init: Init | None) -> dict[str, Proxy]:
    """Proxies by label, from names or as they are.

    Raises:
        UsageError: if there is no such proxy or option.
    """
    if isinstance(proxies, Mapping):
        found = dict(proxies)
    else:
        wished = [proxies] if isinstance(proxies, str) or not isinstance(proxies, Sequence) else list(proxies)
        names = [wish for wish in wished if isinstance(wish, str)]
        for name in names:
            if name not in choices("proxy"):
                raise UnknownName("proxy", name, choices("proxy"))
        own = {wish.info.name: wish for wish in wished if not isinstance(wish, str)}
        found = {**(proxies_of(nodes_of(names), {}) if names else {}), **own}
    if not found:
        raise UsageError("no proxy is named; intrain is one")
    for label, values in options.items():
        if label not in found:
            raise UnknownName("proxy of options=", label, found)
        if not isinstance(values, Mapping):
            raise UsageError(f"options= are a mapping of mappings; {label!r} has {values!r}")
    for label, proxy in found.items():
        drawn = {"init": init} if init is not None and "init" in fields_of(type(proxy)) else {}
        if changed := {**drawn, **options.get(label, {})}:
            found[label] = _set(label, proxy, changed)
    return found


def _set(label: str, proxy: Proxy, values: Mapping[str, Any]) -> Proxy:
    current = {name: getattr(proxy, name) for name in fields_of(type(proxy))}
    return typed(type(proxy), {**current, **values}, label)


def ask(
    each: Given,
    proxies: Mapping[str, Proxy],
    pictures: Shown,
    classes: int | None,
    seed: int,
    options: Options,
) -> Asked:
    """What is asked of a network, once it was looked at: its proxies as far as it can be shown their inputs.

    Args:
        each: the network.
        proxies: by label, with their options.
        pictures: what networks are shown.
        classes: that it has to tell apart; None for any.
        seed: of weights, inputs and mini-batches.
        options: those that the user set, which stay as they are.

    Raises:
        UsageError: if it is no classifier, or one of other classes.
    """
    network = each.look()
    logits = network.classifier.out_features
    if classes is not None and classes != logits:
        raise UsageError(f"classes={classes}: {each.label} tells {logits} classes apart")
    if pictures.labels is not None and int(pictures.labels.max()) >= logits:
        highest = int(pictures.labels.max())
        raise UsageError(
            f"labels= go up to {highest}; {each.label} tells {logits} classes apart, 0 to {logits - 1}"
        )
    if pictures.dataset is not None and pictures.dataset.num_classes != logits:
        needed = pictures.dataset.num_classes
        raise UsageError(f"{pictures.dataset.name} has {needed} classes, {each.label} tells {logits} apart")
    fitted, readings = {}, {}
    for label, proxy in proxies.items():
        fixed = "resolution" in options.get(label, {})
        fitted[label], readings[label] = _fitted(label, proxy, network, pictures, fixed=fixed)
    data = pictures.data(logits)
    job = Job(cast(SearchSpace, replace(each, ready=network)), {data.name: data}, fitted, seed)
    return Asked(network, job, readings)


def _fitted(
    label: str, proxy: Proxy, network: Adapted, pictures: Shown, *, fixed: bool
) -> tuple[Proxy, list[str]]:
    """A proxy with the inputs that there are, and how it is read on the network; `fixed` is its resolution.

    Raises:
        UsageError: if there are fewer images than a batch.
    """
    options, readings = fields_of(type(proxy)), []
    if (
        not pictures.pictured
        and getattr(proxy, "input", None) == "images"
        and not getattr(proxy, "epochs", 0)
    ):
        proxy = replace(proxy, input="gaussian")  # type: ignore[type-var]
        readings.append("noise in place of images")
    if getattr(proxy, "input", None) == "images" and pictures.images is not None:
        asked, there = getattr(proxy, "batch_size", 1), len(pictures.images)
        if asked > there:
            smaller = f"options={{{label!r}: {{'batch_size': {there}}}}}"
            raise UsageError(f"{label} takes batches of {asked} images, and images= are {there}; {smaller}")
    side = getattr(proxy, "resolution", None) if "resolution" in options else None
    wide, height, width = pictures.shape
    if not fixed and side not in (None, height) and not _takes(network, (wide, side, side)):
        proxy = replace(proxy, resolution=None)  # type: ignore[type-var]
        readings.append(f"{height} x {width} pixels in place of {side}")
    if isinstance(proxy, Choosy):
        try:
            readings += proxy.readings(network.traits)
        except Undefined:
            readings = []
    return proxy, readings


def _takes(network: Adapted, shape: tuple[int, int, int]) -> bool:
    known = vars(network).setdefault("_taken", {})
    if shape not in known:
        try:
            with torch.no_grad():
                network.features(torch.ones(2, *shape, device=network.classifier.weight.device))
            known[shape] = True
        except Exception:
            known[shape] = False
        finally:
            network.release_pass()
    return bool(known[shape])


def device_of(device: str | torch.device | None) -> torch.device | None:
    """The device that is named.  Raises UsageError if there is none such."""
    if device is None:
        return None
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device={device}: {first_line(error)}; device='cpu' works everywhere") from None


def device_in(network: Adapted) -> torch.device:
    """Where a network is."""
    return network.classifier.weight.device


def _row(
    each: Given, asked: Asked, pictures: Shown, seed: int, device: torch.device
) -> dict[tuple[str, str], object]:
    [data] = asked.job.datasets.values()
    settle(seed)  # for networks that draw in a forward pass of their own accord
    batches = pictures.batches(data, seed, device)
    found: dict[tuple[str, str], object] = {}
    for row in score_architecture(asked.job, 0, asked.job.tasks(), batches, device):
        label = row["label"]
        _warn(each.label, row)
        score_ = float(row["score"]) if row["status"] in ("ok", "inf") else math.nan
        columns = {name: row[name] for name in asked.job.proxies[label].info.columns}
        told = {
            "score": score_,
            **columns,
            "seconds": row["seconds"],
            "status": row["status"],
            "reading": "; ".join(asked.readings[label]),
            "error": row["error"] or "",
        }
        found |= {(label, name): value for name, value in told.items()}
    return found


def _warn(network: str, row: Row) -> None:
    if row["status"] in ("ok", "inf"):
        return
    why = "undefined: " if row["status"] == "undefined" else ""
    reason = row["error"] or "the score is NaN"
    warnings.warn(f"{row['label']} of {network}: {why}{reason}", ScoreWarning, stacklevel=4)


__all__ = ["ScoreWarning", "score"]
