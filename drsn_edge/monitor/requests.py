"""Requests of people to a running station: made in any thread, carried out in the station's thread between events."""

from __future__ import annotations

import threading

from firmware_bridge.wire.events import Note


class Requests:
    """Keeps requests until they are carried out; each request is kept once, however often it is made."""

    def __init__(self) -> None:
        """Begin without requests."""
        self._asked: dict[str, None] = {}
        self._doing: list[str] = []
        self._reload = threading.Event()

    @property
    def waiting(self) -> bool:
        """Whether a request has not been carried out yet; it is at the next event."""
        return bool(self._asked or self._doing)

    def ask(self, text: str) -> None:
        """Request that the pipeline takes a note; see `drsn_edge.monitor.stages.pipeline`."""
        self._asked[text] = None

    def begin(self) -> list[Note]:
        """Return the notes that were requested, and those not `done` since; they count as waiting until `done`."""
        asked = list(self._asked)
        self._doing = list(dict.fromkeys([*self._doing, *asked]))
        for text in asked:
            self._asked.pop(text, None)
        return [Note(text) for text in self._doing]

    def done(self) -> None:
        """Report that the notes of `begin` were taken."""
        self._doing = []

    def ask_reload(self) -> None:
        """Request that the bundle and the settings are read again."""
        self._reload.set()

    def take_reload(self) -> bool:
        """Return whether a reload was requested, and clear the request."""
        if not self._reload.is_set():
            return False
        self._reload.clear()
        return True
