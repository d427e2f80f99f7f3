"""Joins the shards of a run into one: every row once, and what is missing told by its exact cells."""
