"""Figures of a computed table. What they show is computed in one place and drawn in another."""

from nasbench_eval.report.figure.bars import draw_figure, write_figure
from nasbench_eval.report.figure.write import write_analysis_figures, write_figures

__all__ = ["draw_figure", "write_analysis_figures", "write_figure", "write_figures"]
