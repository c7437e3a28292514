"""The view of a terminal: a panel for each sensor, drawn anew some times a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from drsn_edge.monitor.results import Verdict, WindowResult
from drsn_edge.monitor.sinks.console import severity_words
from drsn_edge.monitor.station import Snapshot
from drsn_edge.signal import FloatArray

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_WIDTH = 46
_RANGE_DB = 60.0
_MOST_CLASSES = 6


class View:
    """Shows stations until it is left; what is printed meanwhile appears above it."""

    def __init__(self, stations: Sequence[Snapshot], console: Console | None = None) -> None:
        """Prepare.

        Args:
            stations: What is shown of each; others write them meanwhile.
            console: Where; None: standard output.
        """
        self._stations = stations
        self._live = Live(console=console or Console(), auto_refresh=False, redirect_stderr=True)

    def __enter__(self) -> View:
        """Begin to show."""
        self._live.__enter__()
        return self

    def __exit__(self, *of: Any) -> None:
        """Leave the last picture and give the terminal back."""
        self.show()
        self._live.__exit__(*of)

    def show(self) -> None:
        """Draw what there is now."""
        self._live.update(Columns([panel(each) for each in self._stations]), refresh=True)


def panel(shown: Snapshot, now_s: Callable[[], float] = time.time) -> Panel:
    """Return what a person sees of one sensor."""
    parts: list[RenderableType] = [_verdict(shown, now_s()), *_alarms(shown)]
    if shown.window is not None and shown.window.scores:
        parts.append(_classes(shown.window))
    if shown.severity is not None:
        parts.append(Text(f"severity  {severity_words(shown.severity)}"))
    if shown.samples is not None:
        parts += _signal(shown.samples, shown.sample_rate_hz)
    parts.append(_link(shown))
    parts += [Text(f"output    {why}", style="red") for why in shown.failing]
    return Panel(Group(*parts), title=shown.machine, width=_WIDTH + 4, border_style=_colour(shown))


def _colour(shown: Snapshot) -> str:
    if shown.alarms or shown.trouble:
        return "red"
    if shown.failing:
        return "yellow"
    verdict = shown.decision.window.verdict if shown.decision else None
    return "green" if verdict is Verdict.CLASS else "yellow"


def _verdict(shown: Snapshot, now_s: float) -> Text:
    if shown.trouble is not None:
        return Text(shown.trouble, style="red")
    if shown.decision is None:
        return Text("no decision yet", style="yellow")
    of = shown.decision.window
    words = of.label or of.verdict.value
    sure = "" if not (of.label and of.scores) else f" ({of.scores[of.label]:.0%})"
    reason = f": {of.reason}" if of.reason else ""
    return Text.assemble((f"{words}{sure}{reason}", "bold"), f"  for {_duration(now_s - shown.decided_s)}")


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _alarms(shown: Snapshot) -> list[RenderableType]:
    return [Text(f"ALARM {', '.join(shown.alarms)}", style="bold red")] if shown.alarms else []


def _classes(window: WindowResult) -> Table:
    table = Table.grid(padding=(0, 1))
    scores = sorted((window.scores or {}).items(), key=lambda each: -each[1])[:_MOST_CLASSES]
    for label, score in scores:
        table.add_row(label, bar(score, 20), f"{score:4.0%}")
    return table


def bar(share: float, width: int) -> str:
    """Return a bar of so many characters for a share of 0 to 1."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    full, rest = divmod(eighths, 8)
    return ("█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")).ljust(width)


def _signal(samples: FloatArray, sample_rate_hz: float) -> list[RenderableType]:
    strongest = samples[:, int(np.argmax(samples.std(axis=0)))]
    spectrum = np.abs(np.fft.rfft((strongest - strongest.mean()) * np.hanning(len(strongest))))
    level_db = 20 * np.log10(spectrum / max(float(spectrum.max()), 1e-12) + 1e-12)
    some = strongest[: 2 * _WIDTH]
    length_ms = 1000 * len(some) / sample_rate_hz
    return [
        Text(f"waveform  {length_ms:.0f} ms, {np.ptp(strongest):.3g} peak to peak", style="dim"),
        Text(sparkline(some - strongest.min(), _WIDTH, most=float(np.ptp(strongest))), style="cyan"),
        Text(f"spectrum  0 to {sample_rate_hz / 2:.0f} Hz, {_RANGE_DB:.0f} dB", style="dim"),
        Text(sparkline(np.maximum(level_db + _RANGE_DB, 0), _WIDTH, most=_RANGE_DB), style="cyan"),
    ]


def sparkline(values: Any, width: int, most: float | None = None) -> str:
    """Return a line of bars, each for the largest of its part of the values, from 0 to the largest of all or `most`."""
    highest = most or float(np.max(values))
    parts = np.array_split(np.asarray(values), min(width, len(values)))
    heights = [float(part.max()) / highest if highest > 0 else 0.0 for part in parts]
    return "".join(_EIGHTHS[min(8, round(8 * height))] for height in heights)


def _link(shown: Snapshot) -> Text:
    counters = shown.counters
    if counters is None:
        return Text("link      nothing yet", style="dim")
    rate = "rate not known yet" if shown.true_rate_hz is None else f"{shown.true_rate_hz:.1f} Hz"
    lost = f"{counters.samples_lost} lost" if counters.losses_counted else "losses cannot be counted"
    frames = f"{counters.crc_errors} bad frames"
    lines = [f"link      {counters.samples_received} samples, {lost}, {frames}", f"true rate {rate}"]
    if shown.lag_s > 1 or shown.skipped:
        lines.append(f"behind    {shown.lag_s:.1f} s, {shown.skipped} windows skipped")
    text = "\n".join(lines)
    return Text(text, style="yellow" if counters.samples_lost or counters.crc_errors else "dim")
