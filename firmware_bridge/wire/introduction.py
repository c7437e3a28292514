"""The identity of a device: its HELLOs in; the start or restart of a session, or a refusal, out."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from firmware_bridge.errors import ProtocolError
from firmware_bridge.wire.events import DecoderEvent, DeviceRestarted, HelloRejected
from firmware_bridge.wire.messages import Hello, SamplesPayload
from firmware_bridge.wire.position import Position, extend


class Introduction:
    """The identity of one device. Each session yields one Hello; a later HELLO of it only updates the position."""

    def __init__(self, tally: Counter[str], position: Position) -> None:
        """Start without a device; count into `tally`, under the names of `StreamCounters`, and update `position`."""
        self._tally, self._position = tally, position
        self.hello: Hello | None = None
        self.session: int | None = None
        """The session whose messages are accepted; None before the first HELLO, and after a refused one."""
        self.n_axes = 0
        self.needs_hello = True
        """Whether the host should ask the device to identify itself."""
        self._behind: tuple[Hello, int] | None = None  # HELLO of the known session at a much earlier position; sequence

    def take(self, hello: Hello, sequence: int) -> list[DecoderEvent]:
        """Take in a HELLO from a frame with this sequence number."""
        known = self.hello
        if known is None or hello.session != known.session:
            return self._begin(hello, is_restart=True)
        if self.session is None:
            self._position.advance(hello.samples_produced, hello.device_time_us)
            return self._begin(hello, is_restart=False)
        if hello != known:
            self._tally["malformed"] += 1
            return [self.refuse(_contradiction(known, hello))]
        if self._position.has_begun_anew(hello):
            return self._take_behind(hello, sequence)
        self.needs_hello = not self._position.go_to(hello.samples_produced, hello.device_time_us)
        return []

    def refuse(self, error: ProtocolError) -> HelloRejected:
        """Interrupt the session, because the refused HELLO may describe the samples that follow."""
        self.session, self.needs_hello = None, True
        return HelloRejected(error)

    def again(self) -> None:
        """Yield the next HELLO as if it were the first; samples lost until then are counted."""
        self.session, self.needs_hello = None, True

    def begin_anew(self, block: SamplesPayload) -> list[DecoderEvent]:
        """Begin with the HELLO from a much earlier position if a block follows it; otherwise return nothing."""
        if self._behind is None:
            return []
        hello, _ = self._behind
        first = extend(block.first_sample, hello.samples_produced)
        if not hello.samples_produced <= first < self._position.next_sample:
            return []
        return self._begin(hello, is_restart=True)

    def goes_on(self) -> None:
        """Forget the HELLO from a much earlier position: samples continue, so it was a late copy."""
        self._behind = None

    def _take_behind(self, hello: Hello, sequence: int) -> list[DecoderEvent]:
        """Keep a HELLO that is a late copy, or follows a restart in the same session: the next message decides."""
        before, self._behind = self._behind, (hello, sequence)
        self.needs_hello = True
        if before is None or before[1] == sequence:
            return []
        return self._begin(hello, is_restart=True)

    def _begin(self, hello: Hello, is_restart: bool) -> list[DecoderEvent]:
        known = self.hello
        self.hello, self.session, self.n_axes = hello, hello.session, len(hello.axes)
        self.needs_hello, self._behind = False, None
        self._position.begin(hello)
        if known is None:
            return [hello]
        self._tally["restarts"] += is_restart
        return [DeviceRestarted(known.session, hello.session), hello]


def _contradiction(known: Hello, hello: Hello) -> ProtocolError:
    """Return the error for a device whose description changed within a session."""
    each_way = [
        (each.name, getattr(known, each.name), getattr(hello, each.name)) for each in fields(Hello) if each.compare
    ]
    changed = [each for each in each_way if each[1] != each[2]]
    words = ", ".join(f"{name} from {before!r} to {after!r}" for name, before, after in changed)
    return ProtocolError(
        f"Device {known.device_id} changed {words} within a session, which a device must not do. The host asks it "
        "again; if that repeats, update the firmware of the device.",
        "contradiction",
        device=known.device_id,
        changes=changed,
    )
