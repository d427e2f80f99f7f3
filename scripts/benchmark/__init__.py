"""The benchmark suite behind `make bench`; `scripts/bench.py` is its command."""
