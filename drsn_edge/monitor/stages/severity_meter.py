"""Vibration severity beside the class: once a second, from the last two seconds of undamaged samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drsn_edge.errors import ContractError
from drsn_edge.monitor.stages.results import Severity
from drsn_edge.monitor.stages.severity_limits import SeverityConfig
from drsn_edge.monitor.stages.windower import Windower
from drsn_edge.signal.bearing_lines import line_levels_db
from drsn_edge.signal.quality import SensorLimits, clipping_level, find_defect
from drsn_edge.signal.repeats import RepeatWatch
from drsn_edge.signal.units import conversion_factor
from drsn_edge.signal.vibration import measure
from drsn_edge.signal.windows import Window
from firmware_bridge.wire.events import DeviceRestarted, SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Counts, Hello

STRETCH_S = 2.0
"""Length of a stretch in seconds: lines 0.5 Hz apart, so that the band from 10 Hz begins at the right line."""

EVERY_S = 1.0

BUFFER = 2048
"""Largest buffer of a sensor in samples that it may send repeatedly; a longer repetition may be a recording."""


class SeverityMeter:
    """Measures severities from a sensor's events; a stretch with a gap, clipping or a flat axis gives none."""

    def __init__(self, config: SeverityConfig | None = None, shaft_hz: float | None = None) -> None:
        """Prepare.

        Args:
            config: Limits and bearing; without limits there are no zones.
            shaft_hz: Speed of the shaft in Hz; without it, or without a bearing, bearing lines are not measured.
        """
        self._config, self._shaft_hz = config or SeverityConfig(), shaft_hz
        self._hello: Hello | None = None
        self._windower: Windower | None = None
        self._repeats = RepeatWatch(BUFFER)

    def take(self, event: SourceEvent, label: str | None = None) -> list[Severity]:
        """Take one event and the present class; return the severities that follow."""
        if isinstance(event, Hello):
            self._begin(event)
        elif isinstance(event, DeviceRestarted):
            self._windower = None
            self._repeats.reset()
        elif isinstance(event, SampleBlock):
            found = (self.measure(each, label) for each in self.cut([event])[0])
            return [each for each in found if each is not None]
        return []

    def cut(self, blocks: Sequence[SampleBlock]) -> list[list[Window]]:
        """Take blocks in order; return the undamaged stretches that each completes."""
        if self._windower is None:
            return [[] for _ in blocks]
        completed = [self._windower.take(block) for block in blocks]
        return [[each for each in found if self._is_sound(each)] if found else found for found in completed]

    def measure(self, stretch: Window, label: str | None) -> Severity | None:
        """Return the severity of a stretch beside the present class; None if outputs cannot hold it."""
        return self._measure(stretch.first_sample, stretch.device_time_s, stretch.counts, label)

    def _is_sound(self, window: Window) -> bool:
        return not self._repeats.repeats(window) and find_defect(window, self._sensor, None) is None

    def _begin(self, hello: Hello) -> None:
        rate_hz = hello.sample_rate_hz
        self._hello = hello
        self._windower = Windower(fast_length(round(STRETCH_S * rate_hz)), max(1, round(EVERY_S * rate_hz)), rate_hz)
        self._sensor = SensorLimits(clipping_level(hello.full_scale, hello.scale), rate_hz)
        try:
            self._g_per_unit: float | None = conversion_factor(hello.unit, "g")
        except ContractError:
            self._g_per_unit = None

    def _measure(self, first_sample: int, device_time_s: float, counts: Counts, label: str | None) -> Severity | None:
        """Return the severity of a stretch; None if a measure is not finite, since outputs cannot hold that."""
        assert self._hello is not None
        found = measure(counts, self._hello.sample_rate_hz, self._g_per_unit, self._hello.scales)
        velocity = found.velocity_rms_mm_s
        if not all(math.isfinite(value) for value in vars(found).values() if value is not None):
            return None
        limits, bearing = self._config.limits, self._config.bearing
        zone = None if limits is None or velocity is None else limits.zone(velocity)
        levels_db = agrees = None
        if bearing is not None and self._shaft_hz is not None:
            samples = (counts * self._hello.scales).astype(np.float32)
            levels_db = line_levels_db(samples, self._hello.sample_rate_hz, bearing.lines_hz(self._shaft_hz))
            if all(map(math.isfinite, levels_db.values())):
                agrees = bearing.agrees(label, levels_db)
            else:
                levels_db = None
        return Severity(
            first_sample, device_time_s, zone=zone, unit=self._hello.unit, bearing_db=levels_db, agrees=agrees,
            **vars(found),
        )  # fmt: skip


def fast_length(n: int) -> int:
    """Return the largest length up to n without prime factors above 5, for which a Fourier transform is fast."""
    best, twos = 1, 1
    while twos <= n:
        threes = twos
        while threes <= n:
            fives = threes
            while fives <= n:
                best = max(best, fives)
                fives *= 5
            threes *= 3
        twos *= 2
    return best
