"""The commands that a host sends to a device: IDENTIFY until it is known, then START until samples come. No I/O."""

from __future__ import annotations

from firmware_bridge.errors import DescriptionError, ProtocolError
from firmware_bridge.wire.events import DecoderEvent, DeviceRestarted, HelloRejected, SampleBlock, Status
from firmware_bridge.wire.messages import PROTOCOL_VERSION, Command, DeviceState, Hello, Opcode

_IDENTIFY_EVERY_S = 0.5
_START_EVERY_S = 1.0


class Dialogue:
    """The host's side of the dialogue. Commands can be lost, so each is repeated until the device follows it."""

    def __init__(self, start: bool) -> None:
        """Begin with an unknown device; `start`: whether to start it once it has identified itself."""
        self._start = start
        self._due_s = 0.0
        self.is_streaming = False
        self.is_known = False
        """Whether a valid HELLO came since `begin`."""
        self.refused: ProtocolError | None = None
        """Why the last HELLO was refused; None if it was accepted, or none came."""

    def begin(self) -> None:
        """Begin a new iteration."""
        self.is_known, self.refused = False, None

    def begin_line(self) -> None:
        """Send the next command at once: the port was opened, or has another baud rate."""
        self._due_s = 0.0

    def end_link(self) -> None:
        """Note that the link is gone, so that nothing streams."""
        self.is_streaming = False

    def follow(self, event: DecoderEvent, now_s: float) -> None:
        """Note from an event whether the device streams. While blocks come, START is not repeated.

        Raises:
            ProtocolError: If the first HELLO is refused for a reason that a later HELLO cannot change.
        """
        if isinstance(event, Hello | DeviceRestarted):
            self.is_streaming = False
            self._due_s = 0.0
            self.refused = None
            self.is_known = True
        elif isinstance(event, HelloRejected):
            self.refused = event.error
            if not self.is_known and not isinstance(event.error, DescriptionError):
                raise event.error
        elif isinstance(event, SampleBlock):
            self.is_streaming = True
            self._due_s = now_s + _START_EVERY_S
        elif isinstance(event, Status):
            self.is_streaming = event.state is DeviceState.STREAMING

    def due(self, needs_hello: bool, now_s: float) -> list[Command]:
        """Return the commands to send now; they count as sent.

        START does no harm to a device that already streams; it answers with a STATUS.
        """
        if not (self._start or needs_hello):
            return []
        if needs_hello and self.is_streaming:  # an unseen restart: IDENTIFY is due at once
            self.is_streaming = False
            self._due_s = now_s
        if now_s < self._due_s:
            return []
        self._due_s = now_s + (_IDENTIFY_EVERY_S if needs_hello else _START_EVERY_S)
        if not needs_hello:
            return [Command(Opcode.START)]
        may_change = self._start and isinstance(self.refused, DescriptionError)  # once the device measures
        return [Command(Opcode.IDENTIFY, PROTOCOL_VERSION), *([Command(Opcode.START)] if may_change else [])]
