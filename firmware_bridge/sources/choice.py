"""Which sensor to read, and what its source is connected to: plain values. `sources.registry` opens them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.sources.link import GATHER_S
from firmware_bridge.wire.text_lines import TextLayout

FRAMES, TEXT = "our frames", "lines of numbers"
"""Kinds of sources on a port that says nothing of its kind; with blanks, as no scheme of a URL has any."""


@dataclass(frozen=True)
class SourceChoice:
    """A sensor and how it talks.

    Attributes:
        port: A path, a pattern, VID:PID, a USB serial number or a URL; see `ports.find_port`.
        baud_rate: In baud; None: the usual one of its kind, or what is found.
        text: What its lines of numbers mean; None: it sends our frames, or what the scheme of its port says.
    """

    port: str
    baud_rate: int | None = None
    text: TextLayout | None = None

    @property
    def scheme(self) -> str:
        """What stands before :// in a port that is a URL, otherwise nothing."""
        return self.port.partition("://")[0] if "://" in self.port else ""


@dataclass(frozen=True)
class Wiring:
    """What a source is connected to.

    Attributes:
        stop: Asked between reads whether to stop.
        on_bytes: Given all that is read, as it is read; see `SerialSource`.
        gather_s: How long to let bytes gather before each read; see `Link`.
        on_baud_rate: Told of a rate other than the usual one at which the device talks.
        on_beyond: Told once of a reading beyond the full scale of `SourceChoice.text`, in its unit.
    """

    stop: Callable[[], bool]
    on_bytes: Callable[[bytes], None] | None = None
    gather_s: float = GATHER_S
    on_baud_rate: Callable[[int], None] | None = None
    on_beyond: Callable[[float], None] | None = None
