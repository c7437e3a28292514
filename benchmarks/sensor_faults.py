r"""Measure the monitor's verdicts with a faulty sensor: each fault at three strengths, on three kinds of machines.

    python benchmarks/sensor_faults.py --cwru cwru.drsn --motors motors.drsn --demo demo.drsn --data recordings/ \\
        --results docs/results/sensor_faults.json --page docs/reference/sensor-faults.md

The bundles: of CWRU with load 3 held out (`--hold-out load_hp=3 --inputs waveform`), of the motor faults with the last
35 % of each recording held out (`--hold-out time=0.35 --inputs waveform`), and of `drsn-edge demo`. Only what was held
out is played, and machines that the demo never saw. Every recording goes through a monitor of its own as the blocks of
a sensor, so that votes and what is learned over time take part. A later call continues an earlier one. `--only WORD`
repeats the faults whose names contain that word. `--before FILE` adds the figures of an earlier version to the page.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle, read_bundle
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import add_noise
from drsn_edge.simulation.machine import AXES, Condition, Machine
from drsn_edge.simulation.simulator import VibrationSimulator, vary_machine
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Hello

Samples = NDArray[np.float64]
Counts = NDArray[np.int64]
Blocks = list[SampleBlock]
SETS = ("cwru", "motors", "demo")
AT_MOST_WRONG = 0.02
SNR_DB = -4.0
BLOCK = 64
ONSET = 1 / 3
"""Where in a recording a fault begins that is told by what was before it."""


@dataclass(frozen=True)
class Sensor:
    """How a machine is listened to: samples per second, g per count, and full scale in g."""

    rate_hz: float
    lsb_g: float
    full_scale_g: float

    @property
    def highest(self) -> int:
        return round(self.full_scale_g / self.lsb_g) - 1


@dataclass(frozen=True)
class Play:
    """A stretch of a machine: its label, and the signal in g, shape (n, axes)."""

    name: str
    label: str
    axes: tuple[str, ...]
    signal_g: Samples
    sensor: Sensor


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a sensor.

    Attributes:
        name: In the table.
        strengths: The weaker, the stated, the stronger one; in words.
        values: The same as numbers.
        analog: Changes the signal in g before it is digitised.
        digital: Changes the counts.
        link: Changes the blocks.
        onset: Share of the recording from which on it holds; windows before it are not counted.
        is_void: Whether nothing of the machine is left, so that every class is a wrong one.
        axes: How many axes there must be at least.
        headroom: By how much the sensor's range is larger than usual: noise of the wanted level is not to clip.
    """

    name: str
    strengths: tuple[str, ...]
    values: tuple[float, ...]
    analog: Callable[[Samples, float, np.random.Generator, Sensor], Samples] | None = None
    digital: Callable[[Counts, float, np.random.Generator, Sensor], Counts] | None = None
    link: Callable[[Blocks, float, np.random.Generator, Sensor], Blocks] | None = None
    onset: float = 0.0
    is_void: bool = False
    axes: int = 1
    headroom: float = 1.0


# --- machines ------------------------------------------------------------------------------------------------------


def plays_of(name: str, data: Path, whole: bool) -> Iterator[Play]:
    """Yield the recordings of a data set to play, one half of each unless `whole` is set."""
    if name == "demo":
        yield from _demo(4 if whole else 2)
    elif name == "cwru":
        sensor = Sensor(12000.0, 16 / 32768, 16.0)
        for each in load_recordings(data / "cwru"):
            if each.fields["load_hp"] == 3:
                n = len(each.samples) if whole else 61_000
                yield Play(each.name, str(each.label), each.axes, each.samples[:n].astype(np.float64), sensor)
    else:
        sensor = Sensor(20000.0, 64 / 32768, 64.0)
        for index, each in enumerate(load_recordings(data / "adi_mfs_mems")):
            if whole or (index + index // 2) % 2 == 0:  # both loads, and every speed
                late = each.samples[round(0.65 * len(each.samples)) :].astype(np.float64)
                yield Play(each.name, str(each.label), each.axes, late, sensor)


def _demo(machines: int) -> Iterator[Play]:
    sensor = Sensor(3200.0, 1 / 256, 16.0)
    for number in range(machines):
        machine = vary_machine(Machine(), np.random.default_rng(9000 + number))
        for label in ("healthy", "outer_race", "inner_race", "imbalance"):
            simulator = VibrationSimulator(machine, Condition.typical(label), sensor.rate_hz, 9100 + number)
            yield Play(f"{label}-{number}", label, AXES, simulator.samples(36_352).astype(np.float64), sensor)


# --- faults --------------------------------------------------------------------------------------------------------


def _noise_alone(x: Samples, rms: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return rng.normal(size=x.shape) * rms


def _pink(shape: tuple[int, ...], rng: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(rng.normal(size=shape), axis=0)
    lines = np.maximum(np.arange(len(spectrum)), 1)[:, None]
    made = np.fft.irfft(spectrum / np.sqrt(lines), n=shape[0], axis=0)
    return np.asarray(made / made.std(axis=0))


def _pink_alone(x: Samples, rms: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return _pink(x.shape, rng) * rms


def _add_white(x: Samples, rms: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x + _noise_alone(x, rms, rng, sensor)


def _add_pink(x: Samples, rms: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x + _pink_alone(x, rms, rng, sensor)


def _add_hum(x: Samples, amplitude: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    t = np.arange(len(x)) / sensor.rate_hz
    return x + amplitude * (np.sin(2 * np.pi * 50 * t) + 0.3 * np.sin(2 * np.pi * 150 * t))[:, None]


def _hum_alone(x: Samples, amplitude: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return _add_hum(rng.normal(size=x.shape) * sensor.lsb_g, amplitude, rng, sensor)


def _offset_steps(x: Samples, step: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x + step * (np.arange(len(x)) // round(0.5 * sensor.rate_hz) % 2)[:, None]


def _offset_drift(x: Samples, drift: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x + drift * (np.arange(len(x)) / sensor.rate_hz)[:, None]


def _low_pass(x: Samples, share: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    """A resonance of a loose mount at a share of half the sample rate: second order, quality 3."""
    lines = np.fft.rfftfreq(len(x), 0.5) / share
    response = 1 / (1 - lines**2 + 1j * lines / 3)
    return np.asarray(np.fft.irfft(np.fft.rfft(x, axis=0) * response[:, None], n=len(x), axis=0))


def _resample(x: Samples, factor: float) -> Samples:
    n = round(len(x) / factor)
    return np.stack([np.interp(np.arange(n) * factor, np.arange(len(x)), axis) for axis in x.T], axis=1)


def _rate(x: Samples, off: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return _resample(x, 1 / (1 + off))


def _jitter(x: Samples, share: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    at = np.arange(len(x)) + rng.uniform(-share, share, len(x))
    return np.stack([np.interp(at, np.arange(len(x)), axis) for axis in x.T], axis=1)


def _gain(x: Samples, factor: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x * factor


def _gain_jumps(x: Samples, factor: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x * np.where(np.arange(len(x)) // 1300 % 2, factor, 1.0)[:, None]


def _soft_clip(x: Samples, multiple: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    limit = multiple * x.std(axis=0)
    mean = x.mean(axis=0)
    return mean + limit * np.tanh((x - mean) / limit)


def _invert(x: Samples, n_axes: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x * np.where(np.arange(x.shape[1]) < n_axes, -1.0, 1.0)


def _swap(x: Samples, which: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x[:, {0: [1, 0, 2], 1: [0, 2, 1], 2: [1, 2, 0]}[int(which)]]


def _with_gravity(change: Any) -> Any:
    def changed(x: Samples, strength: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
        return np.asarray(change(x + GRAVITY_G[: x.shape[1]], strength, rng, sensor))

    return changed


GRAVITY_G = np.array([0.1, 0.2, 0.97])


def _crosstalk(x: Samples, share: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x + share * np.roll(x, 1, axis=1)


def _clip(x: Counts, share: float, at: tuple[bool, bool]) -> Counts:
    low, high = np.quantile(x, [share / 2, 1 - share / 2], axis=0)
    low, high = np.where(at[0], low, x.min()), np.where(at[1], high, x.max())
    return np.asarray(np.clip(x, np.rint(low), np.rint(high)), np.int64)


def _clip_noisy(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return _clip(x, share, (True, True)) + np.rint(rng.normal(size=x.shape) * 3).astype(np.int64)


def _clip_hard(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return _clip(x, share, (True, True))


def _clip_above(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return _clip(x, share, (False, True)) + rng.integers(-1, 2, x.shape)


def _strike(x: Counts, every: float, rng: np.random.Generator, value: Counts) -> Counts:
    """Put a value on one axis at one random sample of each `every`."""
    changed = x.copy()
    first = np.arange(0, len(x), round(every))
    at = np.minimum(first + rng.integers(0, round(every), len(first)), len(x) - 1)
    axis = rng.integers(0, x.shape[1], len(first))
    changed[at, axis] = value[at, axis]
    return changed


def _full_scale(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return _strike(x, every, rng, np.full_like(x, sensor.highest))


def _spikes(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return _strike(x, every, rng, rng.integers(-sensor.highest // 2, sensor.highest // 2, x.shape))


def _zeroed(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return _strike(x, every, rng, np.zeros_like(x))


def _bit_at_0(x: Counts, bit: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return x & ~(1 << _scaled_bit(bit, sensor))


def _bit_at_1(x: Counts, bit: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return x | (1 << _scaled_bit(bit, sensor))


def _scaled_bit(bit: float, sensor: Sensor) -> int:
    """Return the bit of this sensor that means as much as that one at 0.5 mg a count."""
    return max(0, int(bit) - round(np.log2(sensor.lsb_g * 2048)))


def _wrap(x: Counts, bits: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    half = 1 << (_scaled_bit(bits, sensor) - 1)
    return (x + half) % (2 * half) - half


def _unsigned(x: Counts, bits: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return x & ((1 << _scaled_bit(bits, sensor)) - 1)


def _coarse(x: Counts, bits: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    step = 1 << _scaled_bit(bits, sensor)
    return np.rint(x / step).astype(np.int64) * step


def _missing_codes(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return np.where(x % round(every) == 0, x + 1, x)


def _swapped_bytes(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    bad = rng.random(len(x) // BLOCK + 1).repeat(BLOCK)[: len(x)] < share
    return np.where(bad[:, None], x.astype(np.int16).byteswap().astype(np.int64), x)


def _dead_axis(x: Counts, noise: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    changed = x.copy()
    changed[:, 0] = np.rint(rng.normal(size=len(x)) * noise)
    return changed


def _frozen(x: Counts, n: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    at = round(ONSET * len(x))
    kept = x[at - round(n) : at]
    return np.concatenate([x[:at], np.tile(kept, (len(x) // len(kept) + 1, 1))])[: len(x)]


def _sent_twice(x: Counts, n: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    whole = x[: len(x) // round(n) * round(n)].reshape(-1, round(n), x.shape[1])
    return whole.repeat(2, axis=0).reshape(-1, x.shape[1])


def _blocks_of(x: Counts) -> Counts:
    return x[: len(x) // (2 * BLOCK) * 2 * BLOCK].reshape(-1, BLOCK, x.shape[1]).copy()


def _stale(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    blocks = _blocks_of(x)
    bad = np.flatnonzero(rng.random(len(blocks)) < share)
    blocks[bad] = blocks[np.maximum(bad - 1, 0)]
    return blocks.reshape(-1, x.shape[1])


def _disorder(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    blocks = _blocks_of(x)
    order = np.arange(len(blocks))
    bad = np.flatnonzero(rng.random(len(blocks) // 2) < share) * 2
    order[bad], order[bad + 1] = order[bad + 1], order[bad].copy()
    return blocks[order].reshape(-1, x.shape[1])


def _missing(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    return x[rng.random(len(x)) >= 1 / every]


def _missing_runs(x: Counts, n: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    keep = np.ones(len(x), np.bool_)
    for at in rng.integers(0, len(x) - round(n), len(x) // 4096):
        keep[at : at + round(n)] = False
    return x[keep]


def _repeated(x: Counts, share: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    """A reading that was not ready: the one before it is read again."""
    good = rng.random(len(x)) >= share
    good[0] = True
    return x[np.maximum.accumulate(np.where(good, np.arange(len(x)), 0))]


def _zeros_between(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    at = np.flatnonzero(rng.random(len(x)) < 1 / every)
    return np.insert(x, at, 0, axis=0)[: len(x)]


def _pairs_swapped(x: Counts, every: float, rng: np.random.Generator, sensor: Sensor) -> Counts:
    order = np.arange(len(x))
    at = np.flatnonzero(rng.random(len(x) // 2 - 1) < 2 / every) * 2
    order[at], order[at + 1] = order[at + 1], order[at].copy()
    return x[order]


def _overrun(blocks: Blocks, lost: float, rng: np.random.Generator, sensor: Sensor) -> Blocks:
    """Samples go missing every half second, of which the device says only that there were some."""
    samples = np.concatenate([block.samples for block in blocks])
    keep = np.ones(len(samples), np.bool_)
    for at in range(6000, len(samples) - round(lost), 6000):
        keep[at : at + round(lost)] = False
    kept = samples[keep]
    seams = set((np.flatnonzero(np.diff(np.flatnonzero(keep)) > 1) + 1).tolist())
    edges = sorted({0, *range(0, len(kept), BLOCK), *seams, len(kept)})
    return [SampleBlock(a, a / sensor.rate_hz, kept[a:b], 0, overrun=a in seams) for a, b in pairwise(edges) if b > a]


def _clock(blocks: Blocks, at: Callable[[float, float], float]) -> Blocks:
    begin = blocks[-1].device_time_s * ONSET
    return [replace(b, device_time_s=at(b.device_time_s, begin)) for b in blocks]


def _clock_stuck(blocks: Blocks, length_s: float, rng: np.random.Generator, sensor: Sensor) -> Blocks:
    return _clock(blocks, lambda t, begin: begin if begin <= t < begin + length_s else t)


def _clock_back(blocks: Blocks, back_s: float, rng: np.random.Generator, sensor: Sensor) -> Blocks:
    return _clock(blocks, lambda t, begin: t if t < begin else t - back_s)


def _clock_fast(blocks: Blocks, share: float, rng: np.random.Generator, sensor: Sensor) -> Blocks:
    return _clock(blocks, lambda t, begin: t if t < begin else t + share * (t - begin))


def _nothing(x: Samples, strength: float, rng: np.random.Generator, sensor: Sensor) -> Samples:
    return x


def _snr(kind: str) -> Callable[[Samples, float, np.random.Generator, Sensor], Samples]:
    return lambda x, snr_db, rng, sensor: add_noise(x.astype(np.float32), snr_db, rng, kind).astype(np.float64)


LEVELS = ("0.1 g", "0.3 g", "1 g")
FAULTS = (
    Fault("no fault", ("",), (0,), analog=_nothing),
    *(
        Fault(f"no fault, {kind} noise", ("-4 dB",), (SNR_DB,), analog=_snr(kind), headroom=16.0)
        for kind in NOISE_KINDS
    ),
    # a signal that is none
    Fault("white noise alone", ("0.017 g", "0.2 g", "2 g"), (0.017, 0.2, 2), analog=_noise_alone, is_void=True),
    Fault("pink noise alone", ("0.017 g", "0.2 g", "2 g"), (0.017, 0.2, 2), analog=_pink_alone, is_void=True),
    Fault("mains hum alone", ("0.02 g", "0.1 g", "0.5 g"), (0.02, 0.1, 0.5), analog=_hum_alone, is_void=True),
    # seams and repeats
    Fault("overrun, estimated as 0 samples", ("1 lost", "64 lost", "1000 lost"), (1, 64, 1000), link=_overrun),
    Fault("buffer frozen", ("4096", "1024", "64 samples"), (4096, 1024, 64), digital=_frozen, onset=ONSET,
          is_void=True),
    Fault("each FIFO block twice", ("256", "32", "8 samples"), (256, 32, 8), digital=_sent_twice),
    Fault("stale block instead of the new one", ("1 in 100", "1 in 10", "1 in 2"), (0.01, 0.1, 0.5), digital=_stale),
    Fault("blocks change places", ("1 in 100", "1 in 10", "each"), (0.01, 0.1, 1), digital=_disorder),
    Fault("samples missing unsaid", ("1 in 1000", "1 in 100", "1 in 20"), (1000, 100, 20), digital=_missing),
    Fault("a run missing unsaid, 1 in 4096", ("4", "32", "256 samples"), (4, 32, 256), digital=_missing_runs),
    Fault("readings repeated", ("5 %", "20 %", "50 %"), (0.05, 0.2, 0.5), digital=_repeated),
    Fault("zeros between readings", ("1 in 1000", "1 in 100", "1 in 20"), (1000, 100, 20), digital=_zeros_between),
    Fault("two readings change places", ("1 in 1000", "1 in 100", "1 in 10"), (1000, 100, 10),
          digital=_pairs_swapped),
    # amplitude
    Fault("clipped, with noise of 3 LSB on top", ("1 %", "5 %", "20 %"), (0.01, 0.05, 0.2), digital=_clip_noisy),
    Fault("clipped", ("1 %", "5 %", "20 %"), (0.01, 0.05, 0.2), digital=_clip_hard),
    Fault("clipped above, 1 LSB on top", ("1 %", "5 %", "20 %"), (0.02, 0.1, 0.4), digital=_clip_above),
    Fault("soft clipping, tanh", ("4 x RMS", "2 x RMS", "1 x RMS"), (4, 2, 1), analog=_soft_clip),
    Fault("lone reading at full scale", ("1 in 4096", "1 in 1024", "1 in 128"), (4096, 1024, 128),
          digital=_full_scale),
    Fault("spikes up to half of full scale", ("1 in 4096", "1 in 1024", "1 in 128"), (4096, 1024, 128),
          digital=_spikes),
    Fault("readings dropped to zero", ("1 in 1000", "1 in 100", "1 in 20"), (1000, 100, 20), digital=_zeroed),
    Fault("bit stuck at 0", ("16 mg", "125 mg", "0.5 g"), (5, 8, 10), digital=_bit_at_0),
    Fault("bit stuck at 1", ("16 mg", "125 mg", "0.5 g"), (5, 8, 10), digital=_bit_at_1),
    Fault("two's complement wraps", ("at 1 g", "at 0.25 g", "at 0.06 g"), (12, 10, 8), digital=_wrap),
    Fault("sign not extended", ("4 g", "1 g", "0.25 g"), (13, 11, 9), digital=_unsigned),
    Fault("lowest bits lost", ("2 mg", "16 mg", "125 mg"), (2, 5, 8), digital=_coarse),
    Fault("missing codes", ("1 in 64", "1 in 16", "1 in 4"), (64, 16, 4), digital=_missing_codes),
    Fault("bytes of a block swapped", ("1 in 100", "1 in 10", "all"), (0.01, 0.1, 1), digital=_swapped_bytes),
    Fault("white noise added", LEVELS, (0.1, 0.3, 1), analog=_add_white),
    Fault("pink noise added", LEVELS, (0.1, 0.3, 1), analog=_add_pink),
    Fault("mains hum added", ("0.02 g", "0.1 g", "0.5 g"), (0.02, 0.1, 0.5), analog=_add_hum),
    Fault("gain changed", ("0.7", "0.5", "0.1"), (0.7, 0.5, 0.1), analog=_gain),
    Fault("gain jumps", ("x 1.5", "x 3", "x 10"), (1.5, 3, 10), analog=_gain_jumps),
    Fault("offset steps", ("0.1 g", "0.5 g", "2 g"), (0.1, 0.5, 2), analog=_offset_steps),
    Fault("offset drifts", ("0.1 g/s", "1 g/s", "3 g/s"), (0.1, 1, 3), analog=_offset_drift),
    # geometry
    Fault("axes inverted", ("1", "2", "all"), (1, 2, 3), analog=_invert, onset=ONSET),
    Fault("axes inverted, with gravity", ("1", "2", "all"), (1, 2, 3), analog=_with_gravity(_invert), onset=ONSET),
    Fault("axes swapped", ("1, 2", "2, 3", "all"), (0, 1, 2), analog=_swap, onset=ONSET, axes=3),
    Fault("axes swapped, with gravity", ("1, 2", "2, 3", "all"), (0, 1, 2), analog=_with_gravity(_swap), onset=ONSET,
          axes=3),
    Fault("an axis dead", ("3 LSB noise", "1 LSB", "0"), (3, 1, 0), digital=_dead_axis, axes=3),
    Fault("cross-talk between axes", ("10 %", "30 %", "100 %"), (0.1, 0.3, 1), analog=_crosstalk, axes=3),
    Fault("mounted loosely, resonance at", ("0.5", "0.25", "0.1 of Nyquist"), (0.5, 0.25, 0.1), analog=_low_pass),
    # time
    Fault("rate off unsaid", ("2 %", "5 %", "10 %"), (0.02, 0.05, 0.1), analog=_rate),
    Fault("sampling jitter", ("5 %", "20 %", "50 % of a period"), (0.05, 0.2, 0.5), analog=_jitter),
    Fault("clock stands still", ("1 s", "3 s", "for ever"), (1, 3, 1e9), link=_clock_stuck, onset=ONSET),
    Fault("clock set back", ("0.1 s", "1 s", "10 s"), (0.1, 1, 10), link=_clock_back, onset=ONSET),
    Fault("clock drifts", ("0.1 %", "1 %", "5 %"), (0.001, 0.01, 0.05), link=_clock_fast, onset=ONSET),
)  # fmt: skip

WHY = {
    "white noise alone": "a window of nothing but noise may be a machine under noise, which the network was trained to "
    "name; the decision goes with it as long as it lasts.",
    "pink noise alone": "as white noise alone; its spectrum falls as that of a machine may.",
    "white noise added": "the network was trained to name a class under noise, and is right less often the more there "
    "is.",
    "pink noise added": "as white noise added; pink noise has its power where slow faults have theirs.",
    "mains hum added": "a line at 50 Hz is what a motor with a fault of its winding shows; the decision goes with it.",
    "blocks change places": "every sample is there once, and vibration seldom tells which of two blocks came first; a "
    "device that numbers its samples cannot do this unseen.",
    "samples missing unsaid": "one sample less in 20 moves lines by 5 %: a device whose clock stamps its blocks is "
    "found out, as its rate then seems off by as much; the rows here are of one whose stamps hide it.",
    "a run missing unsaid, 1 in 4096": "a leap in the phase in one window of four; the others are sound, and so is the "
    "decision.",
    "soft clipping, tanh": "at the signal's RMS nearly all windows are withheld, at 1.5 times it about three of four "
    "axes; at twice the RMS the extremes are still as far out as those of some sound machines.",
    "spikes up to half of full scale": "lone readings are what impulsive noise is, which the network was trained to "
    "stand; they are withheld where they hold 14 times the power of the rest.",
    "two's complement wraps": "a window with one or two wrapped peaks looks like one with impacts; where they are "
    "more, the ends of the range give it away.",
    "bytes of a block swapped": "64 samples of noise in a window look like a knock; blocks that are all swapped clip.",
    "readings dropped to zero": "few zeros among small readings are no surprise.",
    "gain jumps": "a machine whose load changes does the same.",
    "offset steps": "a step well below the vibration hides in it; larger ones are withheld, in a window and over time.",
    "offset drifts": "a drift of 3 g/s within a window is a slow tone, as of a machine below the band.",
    "axes inverted": "one inverted axis is told by how it moves with the others; where all are, that stays as it was, "
    "and nothing tells without gravity.",
    "axes inverted, with gravity": "as without gravity; it turns with the axes where it is more than the share of the "
    "range that counts as a jump.",
    "axes swapped": "axes that vibrate alike, as the first two of the demo's machines, may change places unseen; most "
    "others are unknown.",
    "axes swapped, with gravity": "as without gravity, where both axes are level.",
    "cross-talk between axes": "a machine that vibrates more alike on all axes is one that may exist.",
    "mounted loosely, resonance at": "a resonance of the mount weighs lines as another machine may; lower ones are "
    "unknown.",
    "rate off unsaid": "lines move by as much as at another speed; beyond 2 % most windows are unknown.",
}
"""Why the rows of a fault are above the limit: what one window cannot tell, and what the decision makes of it."""


# --- playing -------------------------------------------------------------------------------------------------------


def blocks_of(play: Play, fault: Fault, value: float, rng: np.random.Generator) -> Blocks:
    """Return what the sensor sends; a fault with an onset leaves alone what was before it."""
    sensor, x = play.sensor, play.signal_g
    at = round(fault.onset * len(x))
    if fault.analog is not None and at:
        x = np.concatenate([_unchanged(fault, x)[:at], fault.analog(x, value, rng, sensor)[at:]])
    elif fault.analog is not None:
        x = fault.analog(x, value, rng, sensor)
    counts = np.clip(np.rint(x / sensor.lsb_g), -sensor.highest - 1, sensor.highest).astype(np.int64)
    if fault.digital is not None:
        counts = fault.digital(counts, value, rng, sensor)
    sent = np.clip(counts, -32768, 32767).astype(np.int16) if fault.headroom == 1 else counts.astype(np.int32)
    rate_hz = sensor.rate_hz
    blocks = [SampleBlock(i, i / rate_hz, sent[i : i + BLOCK], 0) for i in range(0, len(sent), BLOCK)]
    return blocks if fault.link is None else fault.link(blocks, value, rng, sensor)


def _unchanged(fault: Fault, x: Samples) -> Samples:
    return x + GRAVITY_G[: x.shape[1]] if "with gravity" in fault.name else x


def tally(bundle: Bundle, play: Play, fault: Fault, value: float, seed: int) -> Counter[str]:
    """Return how many windows said what, and with which decision."""
    sensor = replace(play.sensor, full_scale_g=play.sensor.full_scale_g * fault.headroom)
    play = replace(play, sensor=sensor)
    rng = np.random.default_rng(seed)
    blocks = blocks_of(play, fault, value, rng)
    begin = fault.onset * (blocks[-1].first_sample + len(blocks[-1].samples))
    clock = [0.0]
    monitor = Monitor(Judge(model_of(bundle)), HostClock(now=lambda: clock[0]))
    monitor.take(Hello(0, "bench", "1", "bench", play.axes, "g", sensor.lsb_g, sensor.full_scale_g, sensor.rate_hz))
    said: Counter[str] = Counter()
    decided: str | None = None
    right = "" if fault.is_void else play.label
    for block in blocks:
        clock[0] = block.first_sample / sensor.rate_hz
        results = monitor.take(block)
        for result in results:
            if isinstance(result, Decision):
                decided = result.window.label if result.window.verdict.value == "CLASS" else None
        for result in results:
            if isinstance(result, WindowResult) and result.first_sample >= begin:
                said[_said(result, right)] += 1
                said["windows"] += 1
                said["decisions wrong"] += decided is not None and decided != right
    return said


def _said(result: WindowResult, right: str) -> str:
    if result.verdict.value == "CLASS":
        return "right" if result.label == right else "wrong"
    return f"withheld: {result.reason}" if result.verdict.value == "NO_VERDICT" else result.verdict.value


# --- results -------------------------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace, done: dict[str, Any]) -> None:
    """Measure the missing faults, and write the results after each."""
    bundles = {name: read_bundle(getattr(arguments, name)) for name in SETS}
    plays = {name: list(plays_of(name, arguments.data, arguments.whole)) for name in SETS}
    for fault in FAULTS:
        for strength, value in zip(fault.strengths, fault.values, strict=True):
            for name in SETS:
                key = f"{fault.name} | {strength} | {name}"
                wanted = arguments.only and re.search(arguments.only, fault.name)
                if (arguments.only and not wanted) or (key in done and not wanted):
                    continue
                usable = [play for play in plays[name] if len(play.axes) >= fault.axes]
                if usable:
                    began = time.process_time()
                    said = sum(
                        (tally(bundles[name], play, fault, value, 7 + i) for i, play in enumerate(usable)), Counter()
                    )
                    done[key] = {**dict(sorted(said.items())), "seconds": round(time.process_time() - began, 2)}
        if arguments.results:
            arguments.results.write_text(json.dumps(done, indent=0, sort_keys=True) + "\n")


def share(row: dict[str, Any], key: str) -> float:
    if key == "withheld":
        return sum(v for k, v in row.items() if k.startswith("withheld")) / row["windows"]
    return row.get(key, 0) / row["windows"]


def table(done: dict[str, Any], before: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    rows = [
        "| fault | strength | machines | windows | right | **wrong** | before | unknown | withheld, most by | "
        "decisions wrong |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        for strength in fault.strengths:
            for name in SETS:
                key = f"{fault.name} | {strength} | {name}"
                if key in done:
                    bold = "**" if is_above(done[key], done, name) and not fault.name.startswith("no fault") else ""
                    rows.append(_row(fault.name, strength, name, done[key], before.get(key), bold))
    return "\n".join(rows)


def _row(fault: str, strength: str, name: str, row: dict[str, Any], before: dict[str, Any] | None, bold: str) -> str:
    reasons = {k[10:]: v for k, v in row.items() if k.startswith("withheld")}
    most = f" {max(reasons, key=reasons.__getitem__)}" if reasons else ""
    wrong = share(row, "wrong")
    unsure = share(row, "UNKNOWN") + share(row, "UNSURE")
    earlier = "" if before is None else f"{share(before, 'wrong'):.1%}"
    return (
        f"| {fault} | {strength} | {name} | {row['windows']} | {share(row, 'right'):.1%} | {bold}{wrong:.1%}{bold} | "
        f"{earlier} | {unsure:.1%} | {share(row, 'withheld'):.1%}{most} | {share(row, 'decisions wrong'):.1%} |"
    )


def above(done: dict[str, Any]) -> list[str]:
    """Return the faults with a row above the limit."""
    found = {key.split(" | ")[0] for key, row in done.items() if is_above(row, done, key.split(" | ")[2])}
    return [fault.name for fault in FAULTS if fault.name in found and not fault.name.startswith("no fault")]


def is_above(row: dict[str, Any], done: dict[str, Any], machines: str) -> bool:
    """Return whether a fault adds more wrong windows than allowed to those that are wrong without a fault."""
    return share(row, "wrong") - share(done[f"no fault |  | {machines}"], "wrong") > AT_MOST_WRONG


def _decisions(fault: str, done: dict[str, Any]) -> str:
    rows = [(share(row, "decisions wrong"), key) for key, row in done.items() if key.split(" | ")[0] == fault]
    most, key = max(rows)
    _, strength, machines = key.split(" | ")
    return f"The decision is wrong for at most {most:.0%} of the time ({machines}, {strength})."


def write_page(page: Path, done: dict[str, Any], before: dict[str, Any]) -> None:
    """Put the table between the marks of the page, and what each row above the limit means behind it."""
    text = page.read_text()
    lines = [f"- **{name}**: {WHY.get(name, 'not explained yet.')} {_decisions(name, done)}" for name in above(done)]
    made = f"<!-- table -->\n{table(done, before)}\n\n## Rows above 2 %\n\n" + "\n".join(lines) + "\n<!-- end -->"
    page.write_text(re.sub(r"<!-- table -->.*<!-- end -->", lambda _: made, text, flags=re.DOTALL))


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, required=True, help="bundle")
    parser.add_argument("--data", type=Path, required=True, help="folder with cwru and adi_mfs_mems")
    parser.add_argument("--results", type=Path, help="JSON file of results; a later call continues it")
    parser.add_argument("--before", type=Path, help="JSON file of results of an earlier version")
    parser.add_argument("--page", type=Path, help="page that the table is written into")
    parser.add_argument("--only", default="", help="measure the faults whose names match again")
    parser.add_argument("--whole", action="store_true", help="use complete recordings instead of one half of each")
    arguments = parser.parse_args()
    done = json.loads(arguments.results.read_text()) if arguments.results and arguments.results.exists() else {}
    measure(arguments, done)
    before = json.loads(arguments.before.read_text()) if arguments.before else {}
    print(table(done, before))
    print("above the limit:", ", ".join(above(done)) or "nothing")
    if arguments.page:
        write_page(arguments.page, done, before)


if __name__ == "__main__":
    main()
