"""Zero-cost NAS proxies, scored on tabular benchmarks and judged by rank correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_eval.report.frames import load_scores, load_truth
    from nasbench_eval.report.search.frames import load_search

__version__ = "0.1.0"
__all__ = ["__version__", "load_scores", "load_search", "load_truth"]


def __getattr__(name: str) -> Any:
    # Only when asked for: the commands' --help need not wait for pandas.
    if name in ("load_scores", "load_truth"):
        from nasbench_eval.report import frames

        return getattr(frames, name)
    if name == "load_search":
        from nasbench_eval.report.search.frames import load_search

        return load_search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
