"""A sensor's port: how it is read, and what is told of it while it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drsn_edge.signal.units import canonical
from drsn_edge.support.notice import Notice
from firmware_bridge.sources.choice import SourceChoice, Wiring
from firmware_bridge.sources.event_source import SensorSource
from firmware_bridge.sources.link import GATHER_S
from firmware_bridge.sources.registry import open_source
from firmware_bridge.wire.text_lines import TextLayout


@dataclass(frozen=True)
class SensorPort:
    """Which port to read, and how; each as the option of that name.

    Attributes:
        port: A path, a pattern, VID:PID, a USB serial number, or socket://HOST:PORT.
        baud: Baud rate; None: the usual one, or what is found.
        text_unit: Unit of lines of numbers; None: the sensor talks the binary protocol.
        text_range: The most that such a sensor measures, in its unit.
        text_scale: Times what is printed to get the unit.
        text_axes: Names of the columns, between commas; None: x,y,z.
    """

    port: str
    baud: int | None = None
    text_unit: str | None = None
    text_range: float | None = None
    text_scale: float = 1.0
    text_axes: str | None = None

    def open(
        self,
        stop: Callable[[], bool],
        on_bytes: Callable[[bytes], None] | None = None,
        gather_s: float | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> SensorSource:
        """Return what reads it; nothing is opened before it is iterated over. See `open_source`.

        Args:
            stop: Asked whether to stop.
            on_bytes: Given all that is read.
            gather_s: How long bytes may wait for others; None: the usual time.
            tell: Given what a person should read.
        """
        wiring = Wiring(
            stop,
            on_bytes,
            gather_s or GATHER_S,
            on_baud_rate=lambda rate: tell(baud_rate_found(rate, self.port)),
            on_beyond=lambda most: tell(self._beyond(most)),
        )
        return open_source(SourceChoice(self.port, self.baud, self._layout()), wiring)

    def _layout(self) -> TextLayout | None:
        if self.text_unit is None:
            return None
        assert self.text_range is not None
        axes = tuple(self.text_axes.split(",")) if self.text_axes else ()
        return TextLayout(canonical(self.text_unit), self.text_range, self.text_scale, axes)

    def _beyond(self, most: float) -> str:
        return (
            f"{self.port}: a reading of {most:.4g} {self.text_unit} is beyond --text-range {self.text_range:g}; such "
            "readings are taken for clipped. Check --text-unit, --text-scale and --text-range."
        )


def baud_rate_found(baud_rate: int, port: str) -> Notice:
    """Return that a port talks at another rate than the usual one."""
    return Notice(f"{baud_rate} baud found at {port}. Give --baud {baud_rate}, and it begins without a search.")
