"""A proxy and a search space for nasbench_eval, as an outside package brings them."""
