"""Any PyTorch classifier, made to look like a network of a search space."""
