"""Training one large network by a paper's recipe: what a search found, on one core or on many GPUs."""
