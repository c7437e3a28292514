"""The picture of a search: the candidates with their intervals, and risk against coverage of the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from drsn_edge.runtime.classifier import softmax
from drsn_edge.search.run import Found
from drsn_edge.support.pictures import BLUE, GREY, MARKED, SMALL, draw_grid, new_figure, save_picture

_MOST_SHOWN = 20


def save_search_picture(found: Found, path: Path) -> None:
    """Save the picture as a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    save_picture(plot_search(found), path)


def plot_search(found: Found) -> Figure:
    """Plot scores with their 95 % intervals, and the error of the windows that get a class against their share."""
    shown = found.judged[:_MOST_SHOWN]
    figure = new_figure(11, max(4.0, 1.6 + 0.26 * len(shown)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_candidates(left, found)
    _draw_risk(right, found)
    draw_grid(left, right)
    return figure


def _draw_candidates(axes: Any, found: Found) -> None:
    shown = found.judged[:_MOST_SHOWN][::-1]
    for place, each in enumerate(shown):
        interval = each.estimate.score
        colour = MARKED if each is found.chosen else BLUE if each.candidate.is_choosable else GREY
        axes.plot([interval.low, interval.high], [place, place], color=colour, linewidth=1.5)
        axes.plot([interval.mean], [place], "o", color=colour)
    axes.set_yticks(range(len(shown)), [each.candidate.name for each in shown], fontsize=SMALL, parse_math=False)
    axes.set(xlabel="balanced accuracy in the inner folds, mean of clean and 0 dB", xlim=(0, 1.01))


def _draw_risk(axes: Any, found: Found) -> None:
    truth = found.truths[found.chosen.candidate.family]
    for number, name in enumerate(found.folds.names):
        rows, logits = found.chosen.candidate.folds[number]
        certain = softmax(logits[0]).max(axis=1)
        wrong = (logits[0].argmax(axis=1) != truth.labels[rows])[np.argsort(-certain, kind="stable")]
        share = np.arange(1, len(wrong) + 1) / len(wrong)
        axes.plot(100 * share, 100 * np.cumsum(wrong) / np.arange(1, len(wrong) + 1), label=name)
    axes.set(xlabel="windows with a class, the most certain first, %", ylabel="of these, wrong, %", ylim=(0, None))
    axes.legend(title="inner fold", fontsize=SMALL)
