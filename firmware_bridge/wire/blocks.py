"""Converts blocks of samples back into the frames that a device of ours would have sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import (
    Encoding,
    Hello,
    MessageType,
    SamplesPayload,
    encode_samples,
    max_block_samples,
)


def block_frames(writer: FrameWriter, hello: Hello, block: SampleBlock) -> Iterator[bytes]:
    """Yield a block as frames; a block from a replay or from lines of numbers may need more than one.

    Args:
        writer: Writer that numbers the frames.
        hello: HELLO of the device that the block came from.
        block: Block of samples. Counts of 16 bits are sent as int16, all others as int24.

    Raises:
        ProtocolError: If a count does not fit 24 bits.
    """
    encoding = Encoding.INT16 if block.samples.dtype == np.int16 else Encoding.INT24
    size = max_block_samples(block.samples.shape[1], encoding)
    for start in range(0, len(block.samples), size):
        payload = SamplesPayload(
            hello.session,
            block.first_sample + start,
            round(1e6 * (block.device_time_s + start / hello.sample_rate_hz)),
            block.samples[start : start + size],
            encoding,
            block.overrun and start == 0,
        )
        yield writer.encode(MessageType.SAMPLES, encode_samples(payload))
