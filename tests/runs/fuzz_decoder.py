"""A coverage-guided fuzz of the decoder. Needs atheris 3.0.0, which has wheels for Python 3.11.

    python tests/runs/fuzz_decoder.py -max_total_time=60

What comes in is a mixture of whole frames with fuzzed payloads and fuzzed bytes between them. Whatever it is: nothing
is raised, blocks do not overlap, and the account is that of a parser that shares no code with the project.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["firmware_bridge"]):
    from firmware_bridge.wire.events import DeviceRestarted, SampleBlock
    from firmware_bridge.wire.frames import DELIMITER, Frame, encode_frame
    from firmware_bridge.wire.messages import Hello, encode_hello
    from firmware_bridge.wire.stream import StreamDecoder

from naive_parser import NaiveParser

HELLO = encode_hello(Hello(7, "fuzz", "1", "fake", ("x", "y"), "g", 1.0, 2.0, 1000.0))


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    wire = b""
    for _ in range(given.ConsumeIntInRange(1, 12)):
        if given.ConsumeBool():
            kind, sequence = given.ConsumeIntInRange(0, 6), given.ConsumeIntInRange(0, 65535)
            payload = HELLO if given.ConsumeBool() else given.ConsumeBytes(given.ConsumeIntInRange(0, 80))
            wire += encode_frame(Frame(kind, sequence, payload))
        else:
            wire += given.ConsumeBytes(given.ConsumeIntInRange(0, 40))
    check(wire + DELIMITER, given.ConsumeIntInRange(1, 64))


def check(wire: bytes, size: int) -> None:
    decoder, naive = StreamDecoder(), NaiveParser()
    naive.feed(wire)
    end = 0
    for at in range(0, len(wire), size):
        for event in decoder.feed(wire[at : at + size]):
            if isinstance(event, Hello | DeviceRestarted):
                end = 0
            elif isinstance(event, SampleBlock):
                assert event.first_sample >= end and event.lost_before >= 0
                end = event.first_sample + len(event.samples)
    counters, heard = decoder.counters, naive.heard
    assert (counters.frames_ok, counters.crc_errors, counters.resyncs) == (len(heard.frames), heard.bad, heard.resyncs)
    assert counters.bytes_received == len(wire)
    assert counters.garbage_bytes + counters.frames_ok * 10 <= len(wire)
    assert min(vars(counters).values()) >= 0


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
