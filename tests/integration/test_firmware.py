"""The firmware on emulated boards, on a wire, against the host's library: every sample, bit for bit.

`DRSN_EDGE_DEVICE_S` is for how long, by the device's clock; `make proof` takes 600.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import FIRMWARE, Counts, port_of, qemu, running, wave_file

from firmware_bridge.sources.asking import ask
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.wire.events import DeviceRestarted, LinkLost, LinkRestored, Reply, SampleBlock, Status
from firmware_bridge.wire.messages import Command, Hello, Opcode, Result
from firmware_bridge.wire.stream import StreamCounters

pytestmark = pytest.mark.integration

DEVICE_S = float(os.environ.get("DRSN_EDGE_DEVICE_S", "60"))
SLOWEST = 4.0
"""Times real time that an emulated board may take."""

Build = Callable[[str], Path]
Need = Callable[..., None]


class Listener:
    """Takes what a source yields and compares every block with what was played."""

    def __init__(self, port: str, played: Counts, device_s: float) -> None:
        self._deadline = time.monotonic() + 30 + SLOWEST * device_s
        self._played, self._device_s = played, device_s
        self.source = SerialSource(port, hello_timeout_s=20, stop=lambda: time.monotonic() > self._deadline)
        self.hellos: list[Hello] = []
        self.events: list[Any] = []
        self.samples = self._shift = 0
        self.status: Status | None = None

    @property
    def counters(self) -> StreamCounters:
        return self.source.counters

    def listen(self) -> None:
        """Until a block is `device_s` behind the first."""
        began: float | None = None
        for event in self.source:
            if isinstance(event, SampleBlock):
                began = event.device_time_s if began is None else began
                self.take(event)
                if event.device_time_s - began >= self._device_s:
                    return
            elif isinstance(event, Status):
                self.status = event
            elif isinstance(event, Hello):
                self.hellos.append(event)
            else:
                self.events.append(event)
                if isinstance(event, DeviceRestarted):
                    began = None
        raise AssertionError(f"in time there came {self.samples} samples, {self.events}, {self.counters}")

    def take(self, block: SampleBlock) -> None:
        if block.overrun:  # how many the sensor threw away is an estimate
            self._shift = next((shift for shift in range(-200, 201) if self._fits(block, shift)), 0)
        assert self._fits(block, self._shift), (block.first_sample, self._shift, block.samples)
        self.samples += len(block.samples)

    def _fits(self, block: SampleBlock, shift: int) -> bool:
        at = (block.first_sample + shift + np.arange(len(block.samples))) % len(self._played)
        return np.array_equal(block.samples, self._played[at])


def assert_whole(listener: Listener, device_s: float, sample_rate_hz: float) -> None:
    counters = listener.counters
    assert listener.samples >= 0.98 * device_s * sample_rate_hz
    assert (counters.samples_lost, counters.overruns, counters.crc_errors, counters.malformed) == (0, 0, 0, 0)
    assert (counters.frames_lost, counters.duplicates) == (0, 0)


# Everything that is no board, and the host program.


def test_the_c_tests_pass_under_the_sanitizers(build: Build, need: Need) -> None:
    need("gcc", "make")
    vectors = FIRMWARE.parents[1] / "tests" / "vectors"
    done = subprocess.run([build("test_firmware"), vectors], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(" 0 failures")


@pytest.mark.parametrize("sensor", ["adxl345", "lis3dh", "mpu6050"])
@pytest.mark.parametrize("tcp", [False, True], ids=["pty", "tcp"])
def test_every_sensor_on_the_host(build: Build, need: Need, tmp_path: Path, sensor: str, tcp: bool) -> None:
    need("gcc", "make")
    limit = {"adxl345": 4096, "lis3dh": 32768, "mpu6050": 32768}[sensor]
    played = np.random.default_rng(0).integers(-limit, limit, (3000, 3)).astype("<i2")
    played.tofile(tmp_path / "wave.bin")
    where = ("--listen", "0") if tcp else ("--link", tmp_path / "sensor")
    with running(build("host"), "--sensor", sensor, "--wave", tmp_path / "wave.bin", *where) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        listener = Listener(f"socket://{port}" if tcp else port, played, 2.0)
        listener.listen()
    (hello,) = listener.hellos
    assert hello.sensor_model.lower() == sensor and hello.sample_rate_hz == hello.sample_rates_hz[-1]
    if not listener.counters.overruns:  # a busy machine may not poll for longer than a FIFO of 10 ms lasts
        assert_whole(listener, 2.0, hello.sample_rate_hz)


@pytest.mark.parametrize("sensor", ["adxl345", "lis3dh", "mpu6050"])
def test_the_host_is_obeyed(build: Build, need: Need, tmp_path: Path, sensor: str) -> None:
    need("gcc", "make")
    np.zeros((10, 3), "<i2").tofile(tmp_path / "wave.bin")
    options = ("--sensor", sensor, "--wave", tmp_path / "wave.bin", "--link", tmp_path / "port")
    with running(build("host"), *options) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        (before,) = ask(SerialSource(port, start=False), [])
        assert isinstance(before, Hello)
        wanted = [
            Command(Opcode.SET_RATE, round(1000 * before.sample_rates_hz[0])),
            Command(Opcode.SET_RANGE, round(1000 * before.full_scales[-1])),
            Command(Opcode.SELF_TEST),
            Command(Opcode.SET_RATE, 1),
        ]
        said = list(ask(SerialSource(port, start=False), wanted))
    replies = [(event.opcode, event.result) for event in said if isinstance(event, Reply)]
    results = [Result.DONE, Result.DONE, Result.DONE, Result.IMPOSSIBLE_VALUE]
    assert replies == [(command.opcode, result) for command, result in zip(wanted, results, strict=True)]
    after = [event for event in said if isinstance(event, Hello)][-1]
    assert (after.sample_rate_hz, after.full_scale) == (before.sample_rates_hz[0], before.full_scales[-1])


# Boards.


def test_cortex_m4_plays_a_real_waveform_at_26_kilohertz(
    build: Build, need: Need, waveform: Counts, tmp_path: Path
) -> None:
    need("qemu-system-arm", "arm-none-eabi-gcc", "make")
    elf = build("qemu-mps2-an386.elf")
    with running(*qemu("mps2-an386", elf, "0x21000000", wave_file(tmp_path / "wave.bin", waveform))) as process:
        listener = Listener(port_of(process), waveform, DEVICE_S)
        listener.listen()
    (hello,) = listener.hellos
    assert (hello.device_id, hello.sensor_model) == ("mps2-an386", "IIS3DWB")
    assert_whole(listener, DEVICE_S, 26667.0)
    assert listener.status is not None and listener.status.samples_dropped == 0


def test_killing_and_restarting_the_board_is_survived(
    build: Build, need: Need, waveform: Counts, tmp_path: Path
) -> None:
    need("qemu-system-arm", "arm-none-eabi-gcc", "make")
    elf, link = build("qemu-mps2-an386.elf"), tmp_path / "port"
    command = qemu("mps2-an386", elf, "0x21000000", tmp_path / "wave.bin")

    def plug_in(process: subprocess.Popen[str]) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(port_of(process))

    wave_file(tmp_path / "wave.bin", waveform)
    with running(*command) as process:
        plug_in(process)
        listener = Listener(str(link), waveform, 3.0)
        blocks = iter(listener.source)
        seen = 0
        for event in blocks:
            if isinstance(event, SampleBlock):
                listener.take(event)
                seen += 1
                if seen == 200:
                    break
    wave_file(tmp_path / "wave.bin", waveform)
    with running(*command) as process:
        plug_in(process)
        said = []
        for event in blocks:
            said.append(type(event))
            if isinstance(event, SampleBlock):
                listener.take(event)
                seen += 1
                if seen == 400:
                    break
    listener.source.close()
    named = [kind for kind in said if kind in (LinkLost, LinkRestored, DeviceRestarted)]
    assert named == [LinkLost, LinkRestored, DeviceRestarted]
    assert listener.counters.restarts == 1 and listener.counters.samples_lost == 0


def test_the_stm32f405_as_far_as_qemu_has_it(build: Build, need: Need, waveform: Counts, tmp_path: Path) -> None:
    need("qemu-system-arm", "arm-none-eabi-gcc", "make")
    played = waveform[:80_000]  # the upper half of its flash
    elf = build("stm32f405-fake.elf")
    with running(*qemu("netduinoplus2", elf, "0x08080000", wave_file(tmp_path / "wave.bin", played))) as process:
        listener = Listener(port_of(process), played, 5.0)
        listener.listen()
    assert listener.hellos[0].device_id == "stm32f405"
    assert_whole(listener, 5.0, 26667.0)


def test_an_arduino_uno_streams_an_adxl345(build: Build, need: Need, waveform: Counts, tmp_path: Path) -> None:
    need("avr-gcc", "simavr", "make")
    played = (waveform >> 3).astype("<i2")  # 13 bits
    played.tofile(tmp_path / "wave.bin")
    with running(build("uno-run"), build("uno.elf"), "--wave", tmp_path / "wave.bin") as process:
        listener = Listener(port_of(process), played, DEVICE_S)
        listener.listen()
    (hello,) = listener.hellos
    assert (hello.device_id, hello.sensor_model, hello.sample_rate_hz) == ("uno", "ADXL345", 3200.0)
    assert_whole(listener, DEVICE_S, 3200.0)
    assert listener.status is not None and listener.status.samples_dropped == 0


def test_a_wire_that_is_too_slow_for_the_uno_loses_samples_and_counts_each(
    build: Build, need: Need, waveform: Counts, tmp_path: Path
) -> None:
    need("avr-gcc", "simavr", "make")
    played = (waveform >> 3).astype("<i2")
    played.tofile(tmp_path / "wave.bin")
    folder = tmp_path / "slow"
    command = ["make", "-s", "-C", str(FIRMWARE), f"BUILD={folder}", "BAUD=250000", str(folder / "uno.elf")]
    assert subprocess.run(command, timeout=120).returncode == 0
    with running(build("uno-run"), folder / "uno.elf", "--wave", tmp_path / "wave.bin") as process:
        listener = Listener(port_of(process), played, 5.0)
        listener.listen()  # compares every block that comes
    assert listener.counters.samples_lost > 0 and listener.counters.overruns == 0
    assert listener.counters.crc_errors == 0 and listener.status is not None
    assert listener.status.samples_dropped > 0
    assert abs(listener.counters.samples_lost - listener.status.samples_dropped) < 3200 * 1.1  # STATUS each second
