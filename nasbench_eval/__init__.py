"""Zero-cost NAS proxies, scored on tabular benchmarks and on networks of one's own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_eval.api.diagnose import diagnose
    from nasbench_eval.api.run import run
    from nasbench_eval.api.score import ScoreWarning, score
    from nasbench_eval.api.sweep import sweep
    from nasbench_eval.report.frames import load_scores, load_truth
    from nasbench_eval.report.search.frames import load_search
    from nasbench_eval.retrain.load import load_network

__version__ = "0.1.0"
# Where each is defined.  They are imported when they are asked for: --help need not wait for them.
_WHERE = {
    "ScoreWarning": "api.score",
    "diagnose": "api.diagnose",
    "load_network": "retrain.load",
    "load_scores": "report.frames",
    "load_search": "report.search.frames",
    "load_truth": "report.frames",
    "run": "api.run",
    "score": "api.score",
    "sweep": "api.sweep",
}
__all__ = [
    "ScoreWarning",
    "__version__",
    "diagnose",
    "load_network",
    "load_scores",
    "load_search",
    "load_truth",
    "run",
    "score",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"nasbench_eval.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
