"""Rank correlations between scores and accuracies, and the tables made of them."""
