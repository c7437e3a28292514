from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from drsn_edge.training.epochs import EpochReport
from drsn_edge.training.plots import plot_learning_curve

HISTORY = (
    EpochReport(1, 2, 9, 9, 1.5, 0.5, validation_accuracy=0.75, validation_loss=1.0),
    EpochReport(2, 2, 9, 9, 0.5, 0.875, validation_accuracy=0.625, validation_loss=1.0),
)


@pytest.mark.parametrize("kept_epoch", [1, 2])
def test_the_accuracy_on_the_hold_out_set_is_a_mark_at_the_kept_epoch_and_a_line_across(kept_epoch: int) -> None:
    panel = plot_learning_curve(HISTORY, 0.9824, kept_epoch).axes[1]
    training, validation, across, mark = panel.lines
    np.testing.assert_allclose(np.asarray(training.get_xydata()), [(1, 50), (2, 87.5)])
    np.testing.assert_allclose(np.asarray(validation.get_xydata()), [(1, 75), (2, 62.5)])
    np.testing.assert_allclose(np.asarray(mark.get_xydata()), [(kept_epoch, 98.24)])
    np.testing.assert_allclose(np.asarray(across.get_ydata()), [98.24, 98.24])
    assert mark.get_marker() == "D"
    colours = [to_hex(line.get_color()) for line in (training, validation, mark)]
    assert len(set(colours)) == 3 and to_hex(across.get_color()) == colours[2]


def test_the_legend_names_each_set_with_the_accuracy_at_the_end() -> None:
    legend = plot_learning_curve(HISTORY, 0.9824, 2).axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "training, with added noise",
        "validation, as recorded",
        "hold-out set, at the end: 98.2 %",
    ]


def test_without_validation_the_hold_out_set_is_still_drawn() -> None:
    history = [EpochReport(1, 1, 9, 9, 1.5, 0.5)]
    labels = [str(line.get_label()) for line in plot_learning_curve(history, 0.0, 1).axes[1].lines]
    assert labels[0] == "training, with added noise" and labels[-1] == "hold-out set, at the end: 0.0 %"
    assert len(labels) == 3
