"""`nasbench-score`: from a configuration to the scores of cells."""
