"""The port of a sensor: how it is read, and the messages about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drsn_edge.signal.units import canonical
from drsn_edge.support.notice import Notice
from firmware_bridge.sources.choice import SourceChoice, Wiring
from firmware_bridge.sources.event_source import SensorSource
from firmware_bridge.sources.link import GATHERING, Gathering
from firmware_bridge.sources.registry import open_source
from firmware_bridge.wire.text_lines import TextLayout


@dataclass(frozen=True)
class SensorPort:
    """A port and how to read it; each attribute has the meaning of the option of that name.

    Attributes:
        port: A path, a pattern, VID:PID, a USB serial number, or socket://HOST:PORT.
        baud: Baud rate; None: the board's usual rate, else the rate that a search finds.
        text_unit: Unit of a sensor that prints lines of numbers; None: the sensor uses the binary protocol.
        text_range: Largest magnitude that a sensor with lines of numbers measures, in `text_unit`.
        text_scale: Factor from printed numbers to `text_unit`.
        text_axes: Names of the columns, separated by commas; None: x,y,z.
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
        gathering: Gathering = GATHERING,
        tell: Callable[[str], None] = lambda text: None,
    ) -> SensorSource:
        """Return a source that opens the port when it is first iterated over. See `open_source`.

        Args:
            stop: Returns True when reading should stop.
            on_bytes: Called with all bytes that are read.
            gathering: How long bytes accumulate before each read.
            tell: Called with messages for the user.
        """
        wiring = Wiring(
            stop,
            on_bytes,
            gathering,
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
            f"{self.port}: a reading of {most:.4g} {self.text_unit} exceeds --text-range {self.text_range:g}. Readings "
            "beyond the range count as clipped. Check --text-unit, --text-scale and --text-range."
        )


def baud_rate_found(baud_rate: int, port: str) -> Notice:
    """Return a notice that a port uses another baud rate than the usual one."""
    return Notice(f"{port} sends at {baud_rate} baud. Type --baud {baud_rate} to skip the search for the baud rate.")
