"""The sources that can be opened, by kind: a source of yours is a line in `SOURCES`."""

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
"""Openers by kind. Any other key is the scheme of the ports that it opens, as modbus for modbus://..."""


def open_source(choice: SourceChoice, wiring: Wiring, sources: Mapping[str, Opener] = SOURCES) -> SensorSource:
    """Return what reads a sensor; nothing is opened before it is iterated over.

    Args:
        choice: The sensor. Lines of numbers are asked for, a scheme of a source's own says itself, and whatever is left
            sends our frames, on any port or URL that pyserial knows.
        wiring: See there.
        sources: The registry.
    """
    by_port = choice.scheme if choice.scheme in sources else FRAMES
    return sources[by_port if choice.text is None else TEXT](choice, wiring)
