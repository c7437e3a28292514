"""Commands to a device, one after the other, each with its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from firmware_bridge.errors import ProtocolError
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.wire.events import DeviceLog, Reply
from firmware_bridge.wire.messages import Command, Hello, Opcode

_REPEAT_S = 2.5  # a self-test may take two seconds
_ATTEMPTS = 3


def ask(source: SerialSource, commands: Sequence[Command]) -> Iterator[Hello | Reply | DeviceLog]:
    """Yield who the device is, its answer to each command, and what else it says; a HELLO again after each change.

    Args:
        source: Made with `start=False`.
        commands: Those that are answered by a REPLY. Each may be repeated without harm, and is if no answer comes.

    Raises:
        PortError: If the port cannot be opened.
        ProtocolError: If no device identifies itself, or it does not answer.
    """
    waiting, attempts, due_s = list(commands), 0, 0.0
    for event in source:
        if isinstance(event, Hello | DeviceLog):
            yield event
        if isinstance(event, Reply) and waiting and event.opcode == waiting[0].opcode:
            yield event
            waiting, attempts, due_s = waiting[1:], 0, 0.0
        if source.hello is None or time.monotonic() < due_s:
            continue
        if not waiting:
            return
        if attempts == _ATTEMPTS:
            name = Opcode(waiting[0].opcode).name
            raise ProtocolError(f"Expected an answer to {name} from {source.port}, got none after {attempts} attempts.")
        if attempts == 0:
            source.send(Command(Opcode.STOP))  # it may stream since an earlier reader
        source.send(waiting[0])
        attempts, due_s = attempts + 1, time.monotonic() + _REPEAT_S
