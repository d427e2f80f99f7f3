"""Passes: the computations proxies watch, each run once for all of them."""

from nasbench_eval.passes.engine import Engine
from nasbench_eval.passes.observer import (
    GradientObserver,
    LayerKind,
    LayerObserver,
    Observer,
    Parameters,
    Record,
    layers,
    modules,
    parameter_names,
    parameters,
    stack,
)
from nasbench_eval.passes.request import Inputs, Outcome, Request, seconds_of, span
from nasbench_eval.passes.spec import BatchNorm, Body, ForwardSpec, Init, Objective, PassSpec, Source, Wrt

__all__ = [
    "BatchNorm",
    "Body",
    "Engine",
    "ForwardSpec",
    "GradientObserver",
    "Init",
    "Inputs",
    "LayerKind",
    "LayerObserver",
    "Objective",
    "Observer",
    "Outcome",
    "Parameters",
    "PassSpec",
    "Record",
    "Request",
    "Source",
    "Wrt",
    "layers",
    "modules",
    "parameter_names",
    "parameters",
    "seconds_of",
    "span",
    "stack",
]
