from __future__ import annotations

from typing import Any

import numpy as np
from refusals import refused

from firmware_bridge.errors import DescriptionError, ProtocolError
from firmware_bridge.sources.dialogue import Dialogue
from firmware_bridge.wire.events import HelloRejected, SampleBlock, Status
from firmware_bridge.wire.messages import DeviceState, Opcode

BLOCK = SampleBlock(0, 0.0, np.zeros((1, 3), np.int16), 0)


def asked(dialogue: Dialogue, needs_hello: bool, *times_s: float) -> list[list[str]]:
    return [[command.opcode.name for command in dialogue.due(needs_hello, time_s)] for time_s in times_s]


def test_a_device_is_asked_who_it_is_twice_a_second_and_then_to_start_once_a_second(new_device: Any) -> None:
    dialogue = Dialogue(start=True)
    assert asked(dialogue, True, 0.0, 0.1, 0.5, 0.9, 1.0) == [["IDENTIFY"], [], ["IDENTIFY"], [], ["IDENTIFY"]]
    dialogue.follow(new_device().description, 1.1)
    assert dialogue.is_known
    assert asked(dialogue, False, 1.1, 1.2, 2.0, 2.2) == [["START"], [], [], ["START"]]


def test_start_is_not_repeated_as_long_as_blocks_come() -> None:
    dialogue = Dialogue(start=True)
    for time_s in (0.0, 0.9, 1.8):
        dialogue.follow(BLOCK, time_s)
        assert asked(dialogue, False, time_s + 0.8) == [[]]
    assert dialogue.is_streaming and asked(dialogue, False, 2.8) == [["START"]]
    dialogue.follow(Status(DeviceState.ENDED, 0, 0.0, 0), 3.0)
    assert not dialogue.is_streaming


def test_after_an_unseen_restart_it_is_asked_at_once() -> None:
    dialogue = Dialogue(start=True)
    dialogue.follow(BLOCK, 0.0)
    assert asked(dialogue, True, 0.1, 0.2, 0.6) == [["IDENTIFY"], [], ["IDENTIFY"]]


def test_who_only_asks_is_told_who_it_is_and_starts_nothing(new_device: Any) -> None:
    dialogue = Dialogue(start=False)
    assert asked(dialogue, True, 0.0) == [["IDENTIFY"]]
    dialogue.follow(new_device().description, 0.1)
    assert asked(dialogue, False, 0.2, 5.0) == [[], []]


def test_a_description_that_cannot_be_may_get_better_once_it_measures() -> None:
    dialogue = Dialogue(start=True)
    dialogue.follow(HelloRejected(DescriptionError("scale 0")), 0.0)
    assert asked(dialogue, True, 0.1) == [["IDENTIFY", Opcode.START.name]]
    assert isinstance(dialogue.refused, DescriptionError)


def test_another_protocol_is_an_error_at_first_and_waited_out_later(new_device: Any) -> None:
    rejected = HelloRejected(ProtocolError("", "protocol_version", got=2))
    with refused(ProtocolError, "protocol_version", got=2):
        Dialogue(start=True).follow(rejected, 0.0)
    dialogue = Dialogue(start=True)
    dialogue.follow(new_device().description, 0.0)
    dialogue.follow(rejected, 0.1)
    assert dialogue.refused is rejected.error
    dialogue.begin()
    assert dialogue.refused is None and not dialogue.is_known
