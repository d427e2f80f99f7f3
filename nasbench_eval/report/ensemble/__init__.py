"""Combinations of proxies, chosen on some architectures and judged on others."""
