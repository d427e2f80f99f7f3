"""Judges searches: their trials are read, joined with accuracies that no search has seen, and drawn."""
