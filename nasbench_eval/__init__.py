"""Zero-cost NAS proxies, scored on tabular benchmarks and judged by rank correlation."""

__version__ = "0.1.0"
