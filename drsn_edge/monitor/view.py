"""The terminal view: a panel for each sensor, redrawn several times a second."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from drsn_edge.monitor.keys import Keys
from drsn_edge.monitor.snapshot import Snapshot
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.monitor.stages.words import explanation, said_by, severity_words
from drsn_edge.signal.windows import FloatArray
from drsn_edge.support.palette import colours_of
from drsn_edge.verdicts import COVERAGE_OFF, LAST_MEASURED, NOT_YET, OUTPUT_FAILING, Verdict

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_WIDTH = 46
_RANGE_DB = 60.0
_MOST_CLASSES = 6
_CHOICE = "up/down  select   Enter  one sensor or all"
_ARROWS = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down"}


class View:
    """Shows stations until it is closed; text that is printed meanwhile appears above it.

    If the panels of all stations fit the terminal, they stand side by side. Otherwise each station has a row, those
    with alarms first, and the selected station has a panel below; keys select it (see `key`).
    """

    def __init__(
        self,
        stations: Sequence[Snapshot],
        console: Console | None = None,
        acknowledge: Callable[[], object] = lambda: None,
        keys: Keys | None = None,
    ) -> None:
        """Prepare.

        Args:
            stations: Snapshot of each station, which other threads update.
            console: Console to draw on; None: standard output.
            acknowledge: Called when a person presses `a` to acknowledge all alarms.
            keys: Source of pressed keys; None: standard input.
        """
        self._stations, self._acknowledge, self._keys = stations, acknowledge, keys or Keys()
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, redirect_stderr=True)
        self._chosen: str | None = None
        self._is_open = False

    def __enter__(self) -> View:
        """Begin to draw."""
        self._live.__enter__()
        self._keys.__enter__()
        return self

    def __exit__(self, *of: Any) -> None:
        """Leave the last picture on the terminal, and restore the terminal."""
        self._keys.__exit__(*of)
        with suppress(Exception):  # an error of drawing was reported when it first happened
            self.show()
        self._live.__exit__(*of)

    def show(self) -> None:
        """Draw the present state, and carry out the pressed keys."""
        for name in names_of(self._keys.pressed()):
            self.key(name)
        self._live.update(self._drawn(), refresh=True)

    @property
    def chosen(self) -> Snapshot:
        """The station whose panel stands below the rows: the selected one, else the first of `in_order`."""
        ordered = in_order(self._stations)
        return next((each for each in ordered if each.machine == self._chosen), ordered[0])

    def key(self, name: str) -> None:
        """Carry out a key.

        `up` or `k` and `down` or `j` select a station, `enter` switches between its panel alone and all stations, and
        `a` acknowledges the alarms of all stations.
        """
        if name == "a":
            self._acknowledge()
        if name in ("enter", "\r", "\n"):
            self._is_open, self._chosen = not self._is_open, self.chosen.machine
        step = {"up": -1, "k": -1, "down": 1, "j": 1}.get(name)
        if step is not None:
            ordered = in_order(self._stations)
            at = next(index for index, each in enumerate(ordered) if each is self.chosen)
            self._chosen = ordered[min(max(at + step, 0), len(ordered) - 1)].machine

    def _drawn(self) -> RenderableType:
        panels = [panel(each, each.now_s) for each in self._stations]
        width, height = self._console.size
        if len(panels) == 1 or self._needed_rows(panels, width) < height - 1:
            keys = self._help("")
            return Group(Columns(panels), keys) if keys.plain else Columns(panels)
        chosen = self.chosen
        own = panels[next(index for index, each in enumerate(self._stations) if each is chosen)]
        keys = self._help(_CHOICE)
        if self._is_open:
            return Group(own, keys)
        rows = in_order(self._stations)
        room = height - 2 - len(keys.wrap(self._console, width))
        shown = _around(rows, rows.index(chosen), room)
        parts: list[RenderableType] = [table(shown, chosen.machine, width, len(rows) - len(shown)), keys]
        left = room - len(shown) - int(len(shown) < len(rows))
        if self._rows_of(own, width) <= left:
            parts.insert(1, own)
        return Group(*parts)

    def _help(self, choice: str) -> Text:
        """Return the help for the keys that have an effect now; empty if keys are not read."""
        if not self._keys.are_taken:
            return Text("")
        raised = any(each.alarms for each in self._stations)
        return Text("   ".join(filter(None, ("a  acknowledge the alarms" if raised else "", choice))), style="dim")

    def _needed_rows(self, panels: Sequence[Panel], width: int) -> int:
        beside = max(1, (width + 1) // (_WIDTH + 5))
        heights = [self._rows_of(each, width) for each in panels]
        return sum(max(heights[start : start + beside]) for start in range(0, len(heights), beside))

    def _rows_of(self, drawn: RenderableType, width: int) -> int:
        return len(self._console.render_lines(drawn, self._console.options.update(width=width)))


def names_of(pressed: str) -> list[str]:
    """Return the keys that a terminal sent: arrows by name, other keys as their character."""
    return [_ARROWS.get(each, each) for each in re.findall(r"\x1b[\[O][A-Z]|[^\x1b]", pressed)]


def in_order(stations: Sequence[Snapshot]) -> list[Snapshot]:
    """Return stations with alarms first, then those in trouble or without a class, then the others."""
    return sorted(stations, key=_urgency)


def _urgency(shown: Snapshot) -> int:
    if shown.alarms:
        return 0
    if shown.trouble or shown.decision is None or shown.decision.window.verdict is not Verdict.CLASS:
        return 1
    return 2


def _around(rows: Sequence[Snapshot], at: int, room: int) -> list[Snapshot]:
    """Return as many rows as there is room for, including the row at index `at`."""
    if len(rows) <= room:
        return list(rows)
    room = max(1, room - 1)  # one line tells how many rows are missing
    first = min(max(0, at - room // 2), len(rows) - room)
    return list(rows[first : first + room])


def table(rows: Sequence[Snapshot], chosen: str, width: int, left_out: int) -> Table:
    """Return a row for each station, as wide as the terminal.

    Args:
        rows: Snapshots of the stations.
        chosen: Machine whose row is marked.
        width: Width in characters.
        left_out: Number of further stations, which the last line tells.
    """
    drawn = Table(box=None, padding=(0, 1, 0, 0), width=width, caption=f"{left_out} more" if left_out else None)
    for title in ("", "machine", "verdict", "for", "alarms", "vibration", "link"):
        drawn.add_column(title, no_wrap=True, overflow="ellipsis", ratio=3 if title in ("verdict", "machine") else None)
    for shown in rows:
        mark = ">" if shown.machine == chosen else " "
        now_s = shown.now_s()
        age = "" if shown.decision is None else _duration(now_s - shown.decided_s)
        if _is_stale(shown, now_s):
            age = f"measured {_duration(now_s - (shown.measured_s or now_s))} ago"
        cells = (mark, shown.machine, _words(shown), age, ", ".join(shown.alarms), _vibration(shown), _losses(shown))
        drawn.add_row(*(Text(cell) for cell in cells), style=_colour(shown))
    return drawn


def _words(shown: Snapshot) -> str:
    if shown.trouble is not None:
        return shown.trouble
    if shown.decision is None:
        return NOT_YET
    said = said_by(shown.decision.window)
    if said.reason:
        return f"no verdict: {said.reason}"
    return f"{said.state}: {said.pair}" if said.pair else f"{said.state} {said.percent}".rstrip()


def _vibration(shown: Snapshot) -> str:
    severity = shown.severity
    if severity is None or severity.velocity_rms_mm_s is None:
        return ""
    return f"{severity.zone + ' ' if severity.zone else ''}{severity.velocity_rms_mm_s:.2f} mm/s"


def _losses(shown: Snapshot) -> str:
    if shown.failing:
        return OUTPUT_FAILING
    if shown.coverage_off:
        return COVERAGE_OFF
    if shown.counters is None:
        return ""
    return f"{shown.counters.samples_lost} lost" if shown.counters.losses_counted else "not counted"


def panel(shown: Snapshot, now_s: Callable[[], float] = time.time) -> Panel:
    """Return the panel of one sensor."""
    parts: list[RenderableType] = [_verdict(shown, now_s()), *_alarms(shown), *_age(shown, now_s())]
    if shown.decision is not None:
        parts += [Text(each) for each in explanation(shown.decision)]
    if shown.coverage_off:
        parts.append(Text(COVERAGE_OFF, style="yellow"))
    if shown.window is not None and shown.window.scores:
        parts.append(_classes(shown.window))
    elif shown.window is not None and shown.window.novelty is not None:
        parts.append(_novelty(shown.window.novelty))
    if shown.severity is not None:
        parts.append(Text(f"severity  {severity_words(shown.severity)}"))
    if shown.samples is not None:
        parts += _signal(shown.samples, shown.sample_rate_hz)
    parts.append(_link(shown))
    parts += [Text(f"output    {why}", style="red") for why in shown.failing]
    return Panel(Group(*parts), title=Text(shown.machine), width=_WIDTH + 4, border_style=_colour(shown))


def _colour(shown: Snapshot) -> str:
    if shown.alarms or shown.trouble:
        return "red"
    label = shown.decision.window.label if shown.decision else None
    if shown.failing or label is None:
        return "yellow"
    return colours_of([label])[label]


def _verdict(shown: Snapshot, now_s: float) -> Text:
    if shown.trouble is not None:
        return Text(shown.trouble, style="red")
    if shown.decision is None:
        return Text(NOT_YET, style="yellow")
    said = said_by(shown.decision.window)
    sure = f" ({said.percent})" if said.percent else ""
    reason = f": {said.reason or said.pair}" if said.reason or said.pair else ""
    return Text.assemble((f"{said.state}{sure}{reason}", "bold"), f"  for {_duration(now_s - shown.decided_s)}")


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _alarms(shown: Snapshot) -> list[RenderableType]:
    return [Text(f"ALARM {', '.join(shown.alarms)}", style="bold red")] if shown.alarms else []


def _age(shown: Snapshot, now_s: float) -> list[RenderableType]:
    """Return the age of decision and alarms if no window has confirmed them for too long."""
    if shown.measured_s is None or not _is_stale(shown, now_s):
        return []
    return [Text(f"{LAST_MEASURED} {_duration(now_s - shown.measured_s)} ago", style="yellow")]


def _is_stale(shown: Snapshot, now_s: float) -> bool:
    return shown.measured_s is not None and now_s - shown.measured_s >= shown.stale_after_s


def _classes(window: WindowResult) -> Table:
    table = Table.grid(padding=(0, 1))
    scores = sorted((window.scores or {}).items(), key=lambda each: -each[1])[:_MOST_CLASSES]
    for label, score in scores:
        table.add_row(label, bar(score, 20), f"{score:4.0%}")
    return table


def _novelty(novelty: float) -> Text:
    """Return the novelty of a window without probabilities; the bar is half full at the limit."""
    return Text(f"novelty   {bar(novelty / 2, 16)} {novelty:.2f} (limit 1)")


def bar(share: float, width: int) -> str:
    """Return a bar of `width` characters for a share of 0 to 1."""
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
    """Return a line of bars, each as high as the largest of its part of the values; `most` is the full height."""
    highest = most or float(np.max(values))
    parts = np.array_split(np.asarray(values), min(width, len(values)))
    heights = [float(part.max()) / highest if highest > 0 else 0.0 for part in parts]
    return "".join(_EIGHTHS[min(8, round(8 * height))] for height in heights)


def _link(shown: Snapshot) -> Text:
    counters = shown.counters
    if counters is None:
        return Text("link      no data yet", style="dim")
    known = shown.sensor_rate_hz
    rate = "not known yet" if known is None else f"{known:.1f} Hz by the sensor's clock"
    lost = f"{counters.samples_lost} lost" if counters.losses_counted else "losses cannot be counted"
    frames = f"{counters.crc_errors} bad frames"
    lines = [f"link      {counters.samples_received} samples, {lost}, {frames}", f"rate      {rate}"]
    if shown.lag_s > 1 or shown.skipped:
        lines.append(f"behind    {shown.lag_s:.1f} s, {shown.skipped} windows skipped")
    text = "\n".join(lines)
    return Text(text, style="yellow" if counters.samples_lost or counters.crc_errors else "dim")
