"""The demo's picture: waveform and spectrum of each phase, and the verdicts over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.demo.run import CLASSES, DemoResult, Phase, windows_of
from drsn_edge.monitor.stages.results import Decision
from drsn_edge.support.palette import colours_of
from drsn_edge.support.pictures import draw_grid, new_figure, save_picture

_COLOURS = colours_of(CLASSES)
_WAVEFORM_S = 0.25
_WITHHELD = "no verdict"


def save_demo_plot(result: DemoResult, path: Path) -> None:
    """Save the picture as a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    figure = new_figure(13, 8)
    figure.suptitle("drsn-edge demo: a simulated machine, monitored through a virtual accelerometer")
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(3, 2)))
    columns = top.subplots(2, len(result.phases), sharey="row")
    for phase, waveform, spectrum in zip(result.phases, *columns, strict=True):
        _plot_waveform(waveform, result, phase)
        _plot_spectrum(spectrum, result, phase)
    columns[0, 0].set_ylabel("acceleration of the x axis, g")
    columns[1, 0].set_ylabel("amplitude of the x axis, g")
    _plot_timeline(bottom.subplots(), result)
    save_picture(figure, path)


def _middle(result: DemoResult, phase: Phase, length_s: float) -> np.ndarray:
    """Return `length_s` seconds of the x axis around the middle of a phase, without the mean."""
    rate = result.sample_rate_hz
    start = int(((phase.start_s + phase.end_s) / 2 - length_s / 2) * rate)
    part = result.accel_g[start : start + int(length_s * rate), 0]
    return np.asarray(part - part.mean())


def _plot_waveform(axes: Any, result: DemoResult, phase: Phase) -> None:
    part = _middle(result, phase, _WAVEFORM_S)
    axes.plot(np.arange(len(part)) / result.sample_rate_hz, part, linewidth=0.6, color=_COLOURS[phase.label])
    axes.set(title=phase.label, xlabel="time, s")
    draw_grid(axes)


def _plot_spectrum(axes: Any, result: DemoResult, phase: Phase) -> None:
    part = _middle(result, phase, 0.8 * (phase.end_s - phase.start_s))
    taper = np.hanning(len(part))
    amplitude = 2 * np.abs(np.fft.rfft(part * taper)) / taper.sum()
    axes.semilogy(
        np.fft.rfftfreq(len(part), 1 / result.sample_rate_hz), amplitude, linewidth=0.6, color=_COLOURS[phase.label]
    )
    axes.set(xlabel="frequency, Hz", ylim=(1e-5, None))
    draw_grid(axes)


def _plot_timeline(axes: Any, result: DemoResult) -> None:
    rows = [*CLASSES, _WITHHELD]
    for phase in result.phases:
        axes.axvspan(phase.start_s, phase.end_s, color=_COLOURS[phase.label], alpha=0.15)
        axes.text(phase.start_s + 0.05, len(rows) - 0.45, f"simulated: {phase.label}", va="top")
        if phase.delay_s is not None:
            known_s = phase.start_s + phase.delay_s
            axes.axvline(known_s, color="black", linestyle=":")
            axes.text(known_s + 0.05, len(rows) - 0.95, f"decided after {phase.delay_s:.2f} s", va="top")
    windows = windows_of(result)
    heights = [_row(rows, window.label) for window in windows]
    ends = [window.device_time_s + result.window_s for window in windows]
    axes.plot(ends, heights, "k.", label="verdict of a window, at its end")
    changes = [item for item in result.results if isinstance(item, Decision)]
    times = [change.window.device_time_s + result.window_s for change in changes] + [result.phases[-1].end_s]
    levels = [_row(rows, change.window.label) for change in changes]
    axes.step(times, [*levels, *levels[-1:]], where="post", linewidth=3, alpha=0.5, label="decision")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="device time, s", ylim=(-0.6, len(rows) - 0.3), xlim=(0, result.phases[-1].end_s))
    axes.legend(loc="lower right")
    draw_grid(axes)


def _row(rows: list[str], label: str | None) -> int:
    return rows.index(label or _WITHHELD)
