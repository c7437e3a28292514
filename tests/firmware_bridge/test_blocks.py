from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firmware_bridge.wire.blocks import block_frames
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.stream import StreamDecoder


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
@pytest.mark.parametrize("n_samples", [1, 10, 5000])
def test_a_block_comes_out_of_its_frames_as_it_was(
    new_device: Any, dtype: type[np.signedinteger], n_samples: int
) -> None:
    device = new_device()
    samples = device.counts(1000, n_samples).astype(dtype)
    if dtype is np.int32:
        samples = samples * 4000  # beyond 16 bits
    block = SampleBlock(1000, 0.25, samples, 0, overrun=True)
    decoder = StreamDecoder()
    decoder.feed(device.hello(1000))
    frames = list(block_frames(device.writer, device.description, block))
    found = [event for event in decoder.feed(b"".join(frames)) if isinstance(event, SampleBlock)]
    assert len(found) == len(frames) and (len(frames) > 1) == (n_samples > 1000)
    assert np.array_equal(np.concatenate([each.samples for each in found]), samples)
    assert [each.overrun for each in found] == [True] + [False] * (len(found) - 1)
    assert found[0].device_time_s == 0.25 and decoder.counters.samples_lost == 0
    assert found[-1].device_time_s == pytest.approx(0.25 + (found[-1].first_sample - 1000) / 4000, abs=1e-6)


def test_a_block_of_no_samples_is_no_frame(new_device: Any) -> None:
    empty = SampleBlock(0, 0.0, np.empty((0, 3), np.int16), 0)
    assert list(block_frames(FrameWriter(), new_device().description, empty)) == []
