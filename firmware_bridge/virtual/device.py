"""The state of a virtual sensor: its description, its session, its sample counter and its clock."""

from __future__ import annotations

import secrets
from dataclasses import replace

from firmware_bridge.virtual.sensor_faults import SensorFaults
from firmware_bridge.wire.messages import (
    Command,
    Counts,
    DeviceState,
    Hello,
    Opcode,
    Result,
    SamplesPayload,
    StatusPayload,
)


class VirtualDevice:
    """Counts samples and seconds, and builds the messages that report them. Time passes only with samples."""

    def __init__(self, hello: Hello, sample_rate_hz: float, faults: SensorFaults) -> None:
        """Start idle, at the beginning of a session.

        Args:
            hello: Description of the device; session and position are filled in here.
            sample_rate_hz: Sampling rate by the device's own clock, before faults.
            faults: Faults of sampling rate and clock.
        """
        self._hello, self._sample_rate_hz, self._faults = hello, sample_rate_hz, faults
        self.state = DeviceState.IDLE
        self.samples_produced = 0
        """Samples produced in all sessions."""
        self.has_overrun = False
        """Whether samples were discarded that the next block must report."""
        self.begin_session()

    def begin_session(self) -> None:
        """Draw a new session; sample counter and time restart at 0."""
        self._hello = replace(self._hello, session=secrets.randbits(32))
        self._position = self._overruns = 0
        self.time_s = 0.0
        """Time in the session, by a correct clock."""

    @property
    def session(self) -> int:
        """The current session."""
        return self._hello.session

    def duration_s(self, n_samples: int) -> float:
        """Return the duration of the next `n_samples` samples in seconds."""
        return n_samples / (self._sample_rate_hz * self._faults.rate_factor(self.time_s))

    def pass_by(self, n_samples: int) -> None:
        """Count samples as produced, and advance the time by their duration."""
        self.time_s += self.duration_s(n_samples)
        self.samples_produced += n_samples
        self._position += n_samples

    def change(self, command: Command) -> tuple[Result, str]:
        """Carry out a command other than START and STOP, and return its result; a change begins a new session."""
        streaming = self.state is DeviceState.STREAMING
        if command.opcode is Opcode.RESET:
            self.state = DeviceState.IDLE if streaming else self.state
        elif streaming:
            return Result.STREAMING, "send STOP first"
        elif command.opcode is Opcode.SELF_TEST:
            return Result.DONE, "a virtual sensor has nothing to test"
        elif not self._set(command.opcode, command.value / 1000):
            return Result.IMPOSSIBLE_VALUE, "HELLO does not list this value"
        self.begin_session()
        return Result.DONE, ""

    def _set(self, opcode: Opcode, value: float) -> bool:
        """Set the sampling rate or range; False if the description does not list the value."""
        hello = self._hello
        if value not in (hello.sample_rates_hz if opcode is Opcode.SET_RATE else hello.full_scales):
            return False
        if opcode is Opcode.SET_RATE:
            self._sample_rate_hz *= value / hello.sample_rate_hz
            self._hello = replace(hello, sample_rate_hz=value)
        else:
            self._hello = replace(hello, full_scale=value)
        return True

    def hello(self) -> Hello:
        """Return the description with the current position and time."""
        return replace(self._hello, samples_produced=self._position, device_time_us=self._device_time_us())

    def status(self) -> StatusPayload:
        """Return the current position, time and state."""
        return StatusPayload(self.session, self._position, self._device_time_us(), self.state, overruns=self._overruns)

    def block(self, counts: Counts) -> SamplesPayload:
        """Return the next samples as a message, which also reports an overrun."""
        told, self.has_overrun = self.has_overrun, False
        self._overruns += told
        return SamplesPayload(self.session, self._position, self._device_time_us(), counts, overrun=told)

    def _device_time_us(self) -> int:
        return round(self._faults.device_time_s(self.time_s) * 1e6)
