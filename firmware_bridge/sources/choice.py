"""Plain values that say which sensor to read and how. `sources.registry` opens the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.sources.link import GATHERING, Gathering
from firmware_bridge.wire.text_lines import TextLayout

FRAMES, TEXT = "our frames", "lines of numbers"
"""Kinds of sources for ports without a URL scheme. The blanks keep them apart from any scheme."""


@dataclass(frozen=True)
class SourceChoice:
    """A sensor and its way of sending samples.

    Attributes:
        port: A path, a pattern, VID:PID, a USB serial number or a URL; see `ports.find_port`.
        baud_rate: Baud rate; None: the default of the source, or the one that is found.
        text: Meaning of the lines of numbers that the sensor prints; None: it sends our frames, or the protocol that
            the scheme of its port names.
    """

    port: str
    baud_rate: int | None = None
    text: TextLayout | None = None

    @property
    def scheme(self) -> str:
        """The URL scheme of the port; empty if the port is not a URL."""
        return self.port.partition("://")[0] if "://" in self.port else ""


@dataclass(frozen=True)
class Wiring:
    """Callbacks and timing of a source.

    Attributes:
        stop: Called between reads; the source ends when it returns True.
        on_bytes: Called with all bytes as they are read; see `SerialSource`.
        gathering: How long bytes accumulate before each read; see `Link`.
        on_baud_rate: Called with the baud rate that was found, if it is not the default one.
        on_beyond: Called once with a reading beyond the full scale of `SourceChoice.text`, in its unit.
    """

    stop: Callable[[], bool]
    on_bytes: Callable[[bytes], None] | None = None
    gathering: Gathering = GATHERING
    on_baud_rate: Callable[[int], None] | None = None
    on_beyond: Callable[[float], None] | None = None
