"""What persons ask of a station that runs: asked in any thread, done in the station's own, between two events."""

from __future__ import annotations

import threading

from firmware_bridge.wire.events import Note


class Requests:
    """Keeps what was asked for until it is done; each thing once, however often it is asked for."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._asked: dict[str, None] = {}
        self._doing: list[str] = []
        self._reload = threading.Event()

    @property
    def waiting(self) -> bool:
        """Whether something that was asked for has not been done yet: it is, at the next event."""
        return bool(self._asked or self._doing)

    def ask(self, text: str) -> None:
        """Ask for a note to be taken in; see `drsn_edge.monitor.stages.pipeline`."""
        self._asked[text] = None

    def begin(self) -> list[Note]:
        """Return the notes that were asked for since; they count as waiting until `done`."""
        self._doing = list(self._asked)
        for text in self._doing:
            self._asked.pop(text, None)
        return [Note(text) for text in self._doing]

    def done(self) -> None:
        """What `begin` returned was taken in."""
        self._doing = []

    def ask_reload(self) -> None:
        """Ask for the bundle and the settings to be read anew."""
        self._reload.set()

    def take_reload(self) -> bool:
        """Return whether that was asked for, once."""
        if not self._reload.is_set():
            return False
        self._reload.clear()
        return True
