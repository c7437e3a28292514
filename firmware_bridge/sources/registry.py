"""The registry of sources, by kind. To add a source, add a line to `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firmware_bridge.sources.choice import FRAMES, TEXT, SourceChoice, Wiring
from firmware_bridge.sources.event_source import SensorSource
from firmware_bridge.sources.serial_port import open_frames
from firmware_bridge.sources.text import open_text

Opener = Callable[[SourceChoice, Wiring], SensorSource]

SOURCES: Mapping[str, Opener] = {
    FRAMES: open_frames,
    TEXT: open_text,
}
"""Openers by kind. Any other key is the URL scheme of the ports that it opens, such as modbus for modbus://..."""


def open_source(choice: SourceChoice, wiring: Wiring, sources: Mapping[str, Opener] = SOURCES) -> SensorSource:
    """Return the source of a sensor; iterating over it opens the port.

    Args:
        choice: The sensor. With `choice.text` it is read as lines of numbers; otherwise a URL scheme in the registry
            names its source; every other port or pyserial URL is read as our frames.
        wiring: Callbacks and timing.
        sources: Registry of sources.
    """
    by_port = choice.scheme if choice.scheme in sources else FRAMES
    return sources[by_port if choice.text is None else TEXT](choice, wiring)
