"""Figures of a computed table. What they show is computed in one place and drawn in another."""

from nasbench_eval.report.figure.bars import draw_figure, write_figure
from nasbench_eval.report.figure.write import analysis_drawings, table_drawings, write_drawings

__all__ = ["analysis_drawings", "draw_figure", "table_drawings", "write_drawings", "write_figure"]
