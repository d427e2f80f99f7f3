"""Partial correlations of a panel's proxies, on a set of architectures and in its resamples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nasbench_eval.report.statistics.bootstrap import Floats
from nasbench_eval.report.statistics.panel import Bootstraps, Mask
from nasbench_eval.report.statistics.partial import partial
from nasbench_eval.report.statistics.rank import spearman_rho


class Given(NamedTuple):
    """A partial correlation with the accuracy: of the architectures, and in each resample, shape (R,)."""

    value: float
    resampled: Floats


NOTHING = Given(np.nan, np.full(0, np.nan))


def tau_given(bootstraps: Bootstraps, name: str, control: str, within: Mask) -> Given:
    """Partial τ of a proxy and the accuracy given a control.

    Args:
        bootstraps: of the panel.
        name: of the proxy.
        control: the proxy that is held fixed.
        within: the architectures; no more than `Panel.ranked` of the two.
    """
    taus = (
        bootstraps.tau(name, within),
        bootstraps.tau(name, within, control),
        bootstraps.tau(control, within),
    )
    return Given(float(partial(*taus)), _resampled(bootstraps.taus, name, control, within))


def rho_given(bootstraps: Bootstraps, name: str, control: str, within: Mask) -> Given:
    """Partial ρ, otherwise as `tau_given`."""
    x, z = (bootstraps.sample(proxy, within).codes for proxy in (name, control))
    y = bootstraps.panel.accuracy[within]
    rhos = spearman_rho(x, y), spearman_rho(x, z), spearman_rho(z, y)
    return Given(float(partial(*rhos)), _resampled(bootstraps.rhos, name, control, within))


def _resampled(measure: Callable[..., Floats], name: str, control: str, within: Mask) -> Floats:
    own, shared, others = measure(name, within), measure(name, within, control), measure(control, within)
    found: Floats = partial(own, shared, others)
    return found
