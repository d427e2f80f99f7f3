"""Proxies on several benchmarks at once: one table, and how far the benchmarks agree."""
