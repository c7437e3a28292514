"""What a device is asked for, by what it said last: who it is, then its samples. No I/O."""

from __future__ import annotations

from firmware_bridge.errors import DescriptionError, ProtocolError
from firmware_bridge.wire.events import DecoderEvent, DeviceRestarted, HelloRejected, SampleBlock, Status
from firmware_bridge.wire.messages import PROTOCOL_VERSION, Command, DeviceState, Hello, Opcode

_IDENTIFY_EVERY_S = 0.5
_START_EVERY_S = 1.0


class Dialogue:
    """The host's side of the talk. Commands get lost, too, so each is repeated until what it asks for comes."""

    def __init__(self, start: bool) -> None:
        """Begin with a device that said nothing; `start`: whether to start it once it has identified itself."""
        self._start = start
        self._due_s = 0.0
        self.is_streaming = False
        self.is_known = False
        """Whether a HELLO that can be used came since `begin`."""
        self.refused: ProtocolError | None = None
        """Why the last HELLO could not be used; None where it could, or none came."""

    def begin(self) -> None:
        """Begin for a reader who begins anew."""
        self.is_known, self.refused = False, None

    def begin_line(self) -> None:
        """Ask at once: the line is new, or has another rate."""
        self._due_s = 0.0

    def end_link(self) -> None:
        """Take it that nothing streams: the link is gone."""
        self.is_streaming = False

    def follow(self, event: DecoderEvent, now_s: float) -> None:
        """Learn whether the device streams. As long as blocks come, START need not be repeated.

        Raises:
            ProtocolError: If its first HELLO is refused, and another one would be, too.
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

        To ask a device to start that already streams does no harm; it answers with a STATUS.
        """
        if not (self._start or needs_hello):
            return []
        if needs_hello and self.is_streaming:  # an unseen restart: do not wait until it is START's turn
            self.is_streaming = False
            self._due_s = now_s
        if now_s < self._due_s:
            return []
        self._due_s = now_s + (_IDENTIFY_EVERY_S if needs_hello else _START_EVERY_S)
        if not needs_hello:
            return [Command(Opcode.START)]
        may_know_better = self._start and isinstance(self.refused, DescriptionError)  # once it measures
        return [Command(Opcode.IDENTIFY, PROTOCOL_VERSION), *([Command(Opcode.START)] if may_know_better else [])]
