"""What all figures have in common: sizes, colours, the style, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasbench_eval.report import PNG

# A paper's column and its full width, in inches.
COLUMN, PAGE = 3.4, 7.0
LABEL_LENGTH = 22
# Of what explains a figure and of what stands in small panels, in points; a column leaves room for no more.
SMALL = 6.3

# The colours of Okabe & Ito (2008), which the colour-blind tell apart; markers differ for grey print.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
GREY = "#BBBBBB"
CEILING: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 2))}

# Set on top of Matplotlib's own defaults, so that a user's settings do not change the figure.
STYLE: dict[str, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: journals refuse Matplotlib's default, and text stays searchable
    "svg.hashsalt": "nasbench_eval",  # else names inside the file are random
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
}
# Without dates and versions, so that the same table gives the same file.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


def paper_style() -> AbstractContextManager[None]:
    """The style, to be in force both while a figure is drawn and while it is written."""
    return style.context(["default", STYLE])


def save(figure: Figure, folder: Path, stem: str, formats: Sequence[str] = (PNG,)) -> list[str]:
    """Write a figure in some of `FORMATS`; returns the files' names."""
    names = [f"{stem}.{ending}" for ending in formats]
    with paper_style():
        for ending, name in zip(formats, names, strict=True):
            figure.savefig(folder / name, metadata=METADATA[ending])
    return names


def ceiling_handle(everywhere: bool = True) -> Line2D:
    """The legend's entry of a noise ceiling, which not every panel need have."""
    label = "noise ceiling" if everywhere else "noise ceiling (where known)"
    return Line2D([], [], color="black", label=label, **CEILING)


def short(text: str, length: int = LABEL_LENGTH) -> str:
    """A label that leaves room for what it labels."""
    return text if len(text) <= length else text[: length - 1] + "…"


def number(value: float) -> str:
    """A correlation to three decimals, with a proper minus sign."""
    return f"{value:.3f}".replace("-", "−")


def lines(sentences: list[str], width: float) -> str:
    """Sentences one after another, as many a line as a figure's width, in inches, has room for."""
    # An average character in the small size takes half its height.
    room = int(width * 72 / (0.52 * SMALL))
    filled: list[str] = []
    for sentence in sentences:
        if filled and len(filled[-1]) + 1 + len(sentence) <= room:
            filled[-1] += f" {sentence}"
        else:
            filled.append(sentence)
    return "\n".join(filled)
