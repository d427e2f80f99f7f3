"""`nasbench-show`: what an architecture is, what its network costs, and what is known of it."""
