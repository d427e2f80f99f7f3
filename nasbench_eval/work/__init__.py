"""Has the work done: the sample, worker processes, progress, one session of a run."""
