"""Accuracies that scores are judged by: tables, their checks, and `nasbench-data`, which fetches them."""
