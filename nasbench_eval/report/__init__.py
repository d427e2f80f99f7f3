"""Judges the scores of runs: tables, statistics and figures beside the published ones."""

# The report tables of the papers; a run's space decides which of them are made.
PAPERS_TABLES = ("table1", "table3", "figure2", "timm", "darts")

# What figures can be written as.
PNG, PDF, SVG = "png", "pdf", "svg"
FORMATS = (PNG, PDF, SVG)
