"""Search for architectures: an algorithm proposes, a guide tells what a proposal is worth, a clock ends it."""
