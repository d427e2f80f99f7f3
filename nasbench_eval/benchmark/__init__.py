"""`nasbench-train`: a benchmark of one's own images."""
