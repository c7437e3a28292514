"""A recording as a virtual sensor: the source of `drsn-edge simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drsn_edge import __version__
from drsn_edge.errors import RecordingError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.windows import FloatArray
from drsn_edge.simulation.machine import AXES, Condition, Machine
from drsn_edge.support.invalid import InvalidValueError
from firmware_bridge.support.shown import printable
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.messages import Hello

_CHUNK_SAMPLES = 4096
_LONGEST_ID = 255
"""Most bytes of a text in HELLO."""

_FULL_SCALE_COUNTS = 32768
_SNR_LIMIT_DB = 200.0  # beyond it, noise or vibration is far below the resolution of float32 and int16


def full_scale_for(samples: FloatArray) -> float:
    """Return the smallest power of two that no sample reaches, as the range of a sensor would be chosen."""
    return range_for(float(np.max(np.abs(samples))))


def range_for(peak: float) -> float:
    """Return the smallest power of two that is surely above a peak; 1 for a peak of 0."""
    return float(2.0 ** np.ceil(np.log2(peak * 1.001))) if peak > 0 else 1.0


@dataclass(frozen=True)
class Playback:
    """How a recording is played.

    Attributes:
        speed: Playback speed, 1 for real time; None: as fast as the reader reads.
        snr_db: Signal-to-noise ratio of the added noise over the whole recording, in dB; None: no noise.
        noise: Kind of the noise, one of `drsn_edge.signal.names.NOISE_KINDS`.
        loop: Whether the recording is repeated endlessly.
        seed: Seed of the noise.
    """

    speed: float | None = 1.0
    snr_db: float | None = None
    noise: str = "gaussian"
    loop: bool = False
    seed: int = 0


def virtual_sensor(
    recording: Recording,
    playback: Playback,
    *,
    link: Path | None,
    listen: tuple[str, int] | None = None,
    faults: FaultInjector | None = None,
) -> VirtualAccelerometer:
    """Return a virtual accelerometer that plays a recording.

    Args:
        recording: Recording that is played, in its own unit and at its own sampling rate.
        playback: How it is played.
        link: Path of a symbolic link to the port; None: no link.
        listen: Host and TCP port to listen on, instead of a pseudo-terminal.
        faults: Faults of samples, clock and link.

    Raises:
        RecordingError: If the signal-to-noise ratio is not a number or out of range.
        DrsnEdgeError: If the kind of noise is unknown.
        VirtualDeviceError: If the port or its link cannot be created.
    """
    samples = _with_noise(recording.samples, playback)
    return VirtualAccelerometer(
        _hello(recording, samples),
        _chunks(samples, playback.loop),
        link=link,
        listen=listen,
        speed=playback.speed,
        faults=faults,
    )


def _with_noise(samples: FloatArray, playback: Playback) -> FloatArray:
    snr_db = playback.snr_db
    if snr_db is None:
        return samples
    if not -_SNR_LIMIT_DB <= snr_db <= _SNR_LIMIT_DB:
        raise RecordingError(
            f"A signal-to-noise ratio must be from {-_SNR_LIMIT_DB:g} to {_SNR_LIMIT_DB:g} dB, got {snr_db:g}. Choose "
            "another.",
            "snr_out_of_range",
            got=snr_db,
            limit_db=_SNR_LIMIT_DB,
        )
    return add_noise(samples, snr_db, np.random.default_rng(playback.seed), playback.noise)


def simulated_recording(condition: str, rpm: float, duration_s: float, seed: int) -> Recording:
    """Return the simulated vibration in g of a machine in one of `drsn_edge.simulation.names.CONDITIONS`.

    Raises:
        RecordingError: If the shaft speed or the condition is impossible.
    """
    from drsn_edge.simulation.simulator import DEFAULT_SAMPLE_RATE_HZ, VibrationSimulator  # needs SciPy

    try:
        simulator = VibrationSimulator(Machine(rpm=rpm), Condition.typical(condition), DEFAULT_SAMPLE_RATE_HZ, seed)
    except InvalidValueError as exc:
        words = f"The machine cannot be simulated: {exc}. Change it."
        raise RecordingError(words, exc.problem, **exc.facts) from exc
    samples = simulator.samples(max(1, round(duration_s * DEFAULT_SAMPLE_RATE_HZ)))
    return Recording(f"simulated {condition}", samples, DEFAULT_SAMPLE_RATE_HZ, AXES, "g", condition, "simulated")


def _hello(recording: Recording, samples: FloatArray) -> Hello:
    full_scale = full_scale_for(samples)
    return Hello(
        session=0,
        device_id=f"virtual:{printable(recording.name)}".encode()[:_LONGEST_ID].decode(errors="ignore"),
        firmware_version=__version__,
        sensor_model="virtual accelerometer",
        axes=recording.axes,
        unit=recording.unit,
        scale=full_scale / _FULL_SCALE_COUNTS,
        full_scale=full_scale,
        sample_rate_hz=recording.sample_rate_hz,
    )


def _chunks(samples: FloatArray, loop: bool) -> Iterator[FloatArray]:
    while True:
        for start in range(0, len(samples), _CHUNK_SAMPLES):
            yield samples[start : start + _CHUNK_SAMPLES]
        if not loop:
            return
