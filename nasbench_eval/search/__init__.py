"""Search for architectures: an algorithm proposes, a guide tells what it is worth, a clock ends it."""
