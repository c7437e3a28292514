"""Who the device is: its HELLOs in, what they say of a session that begins, begins anew or cannot be out."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from firmware_bridge.errors import ProtocolError
from firmware_bridge.wire.events import DecoderEvent, DeviceRestarted, HelloRejected
from firmware_bridge.wire.messages import Hello, SamplesPayload
from firmware_bridge.wire.position import Position, extend


class Introduction:
    """What one device says of itself. A HELLO of the known session only moves the position; Hello comes out once."""

    def __init__(self, tally: Counter[str], position: Position) -> None:
        """Know nobody; count into `tally`, by the names of `StreamCounters`, and move `position`."""
        self._tally, self._position = tally, position
        self.hello: Hello | None = None
        self.session: int | None = None
        """The session whose messages hold; None while nobody is known, and since a HELLO was refused."""
        self.n_axes = 0
        self.needs_hello = True
        """Whether the device should be asked to identify itself."""
        self._behind: tuple[Hello, int] | None = None  # HELLO and sequence, of the known session, from far behind

    def take(self, hello: Hello, sequence: int) -> list[DecoderEvent]:
        """Take in a HELLO, from a frame of this sequence."""
        known = self.hello
        if known is None or hello.session != known.session:
            return self._begin(hello, is_restart=True)
        if self.session is None:
            self._position.advance(hello.samples_produced, hello.device_time_us)
            return self._begin(hello, is_restart=False)
        if hello != known:
            self._tally["malformed"] += 1
            return [self.refuse(ProtocolError(_contradiction(known, hello)))]
        if self._position.has_begun_anew(hello):
            return self._take_behind(hello, sequence)
        self.needs_hello = not self._position.go_to(hello.samples_produced, hello.device_time_us)
        return []

    def refuse(self, error: ProtocolError) -> HelloRejected:
        """Break the session: what a HELLO that cannot be used says may hold for the samples that follow."""
        self.session, self.needs_hello = None, True
        return HelloRejected(error)

    def again(self) -> None:
        """Have the next HELLO told as if it were the first; losses until then count."""
        self.session, self.needs_hello = None, True

    def begin_anew(self, block: SamplesPayload) -> list[DecoderEvent]:
        """Begin with the HELLO from far behind, if a block follows on that one; otherwise nothing comes out."""
        if self._behind is None:
            return []
        hello, _ = self._behind
        first = extend(block.first_sample, hello.samples_produced)
        if not hello.samples_produced <= first < self._position.next_sample:
            return []
        return self._begin(hello, is_restart=True)

    def goes_on(self) -> None:
        """Forget the HELLO from far behind: samples go on where they were, so that it was a late copy."""
        self._behind = None

    def _take_behind(self, hello: Hello, sequence: int) -> list[DecoderEvent]:
        """A late copy, or a device that drew the same session again: another HELLO, or SAMPLES behind it, will tell."""
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


def _contradiction(known: Hello, hello: Hello) -> str:
    """Return what a device says of itself that it said otherwise before, in the same session."""
    each_way = [
        (each.name, getattr(known, each.name), getattr(hello, each.name)) for each in fields(Hello) if each.compare
    ]
    words = ", ".join(f"{name} from {before!r} to {after!r}" for name, before, after in each_way if before != after)
    return (
        f"Device {known.device_id} changed {words} in the same session, which a device must not. "
        "It is asked again; if that repeats, update its firmware."
    )
