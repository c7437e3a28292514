"""Sends commands to a device, one after the other, and yields the answers."""

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
    """Yield the HELLO of the device, its REPLY to each command, and its LOG messages; a new HELLO after each change.

    Args:
        source: Source that was made with `start=False`.
        commands: Commands that a device answers with a REPLY. A command is repeated if no answer comes.

    Raises:
        PortError: If the port cannot be opened.
        ProtocolError: If no device identifies itself, or the device does not answer.
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
            raise ProtocolError(
                f"The device on {source.port} did not answer {name} in {attempts} attempts. Unplug it, plug it in "
                "again, and repeat the command.",
                "no_reply",
                command=name,
                port=source.port,
                attempts=attempts,
            )
        if attempts == 0:
            source.send(Command(Opcode.STOP))  # the device may still stream to an earlier reader
        source.send(waiting[0])
        attempts, due_s = attempts + 1, time.monotonic() + _REPEAT_S
