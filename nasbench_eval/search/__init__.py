"""Search for architectures: an algorithm proposes, a guide tells what they are worth, a clock ends it."""
