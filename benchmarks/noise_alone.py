r"""Measure the monitor's verdicts on noise alone, and the true windows that it withholds: tables for three bundles.

    drsn-edge train --data recordings/cwru --hold-out load_hp=3 --inputs waveform --out cwru-run
    drsn-edge convert cwru-run --out cwru.drsn
    drsn-edge train --data recordings/adi_mfs_mems --hold-out time=0.35 --inputs waveform --out adi-run
    drsn-edge convert adi-run --out adi.drsn
    drsn-edge demo --speed 0 --out demo
    python benchmarks/noise_alone.py --data recordings/ --cwru cwru.drsn --adi adi.drsn --demo demo/demo.drsn \
        --results docs/results/noise_alone.json

Every window goes through the monitor, with the check switched off (before) and on (after). True windows are those of
CWRU's load 3, of the last 35 % of the motor faults, and of twelve simulated machines that the demo did not train on;
they do not overlap, and each has noise of its own at an exact SNR.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle, read_bundle
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.demo.run import training_recordings
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.noise_alone import NEVER, chances
from drsn_edge.signal.windows import centre, cut_windows, window_starts
from drsn_edge.support.files import write_file
from drsn_edge.verdicts import NOISE_ALONE
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Hello

Samples = NDArray[np.float32]

SNRS_DB = (-6.0, -4.0, 0.0)
LEVELS_G = (0.017, 0.05, 0.3, 2.0)
ADDED_G = (0.05, 0.1, 0.3, 1.0)
NOISE_WINDOWS = 200
ON, OFF = None, NEVER
DEMO_SEED = 77
"""The demo trains on seed 0."""


@dataclass(frozen=True)
class Case:
    """A bundle and true windows of machines for it."""

    name: str
    bundle: Bundle
    recordings: tuple[tuple[str, Samples], ...]
    """Label, and samples in g, shape (n, axes)."""


@dataclass(frozen=True)
class Told:
    """The monitor's results for one stream: the verdict on each window, and the label of each decision."""

    windows: list[str]
    decisions: list[str]


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    bundle = read_bundle(arguments.cwru)
    yield Case("cwru, load 3", bundle, _of(load_recordings(arguments.data / "cwru"), load_hp=3))
    late = [(each.label or "", _late(each)) for each in load_recordings(arguments.data / "adi_mfs_mems")]
    yield Case("motor faults, last 35 %", read_bundle(arguments.adi), tuple(late))
    yield Case("simulated machines", read_bundle(arguments.demo), _of(training_recordings(DEMO_SEED)))


def _of(recordings: list[Recording], **fields: Any) -> tuple[tuple[str, Samples], ...]:
    chosen = (each for each in recordings if all(each.fields.get(key) == value for key, value in fields.items()))
    return tuple((each.label or "", each.samples) for each in chosen)


def _late(recording: Recording) -> Samples:
    return recording.samples[round(0.65 * len(recording.samples)) :]


def told(bundle: Bundle, samples: Samples, limit: float | None, overlap: bool = False) -> Told:
    """Return the monitor's results for a stream, shape (n, axes), in g."""
    contract = bundle.manifest.contract
    hop = contract.hop if overlap else contract.window
    manifest = replace(bundle.manifest, noise_limit=limit, contract=replace(contract, hop=hop))
    monitor = Monitor(Judge(Model(manifest, _classifier(bundle), novelty_of(bundle))), HostClock(now=lambda: 0.0))
    scale = max(float(np.abs(samples).max()) / 30_000, 16 / 2**15 / 16)
    hello = Hello(1, "bench", "1", "file", contract.axes, "g", scale, 32_767 * scale, contract.sample_rate_hz)
    counts = np.rint(samples / scale).astype(np.int16)
    results = monitor.take(hello) + monitor.take(SampleBlock(0, 0.0, counts, 0))
    windows = [each.label or each.reason or each.verdict.value for each in results if isinstance(each, WindowResult)]
    decided = [each.window.label or each.window.verdict.value for each in results if isinstance(each, Decision)]
    return Told(windows, decided)


def told_both(bundle: Bundle, samples: Samples, overlap: bool = False) -> dict[str, Told]:
    """Return the results of `told` before and after; they are equal without a window of noise alone."""
    after = told(bundle, samples, ON, overlap)
    return {"before": told(bundle, samples, OFF, overlap) if NOISE_ALONE in after.windows else after, "after": after}


_CLASSIFIERS: dict[int, Classifier] = {}


def _classifier(bundle: Bundle) -> Classifier:
    return _CLASSIFIERS.setdefault(id(bundle.network), Classifier(bundle.network))


def shares(said: list[str], labels: tuple[str, ...], truth: list[str] | None = None) -> dict[str, float]:
    """Return percent of windows: class (right and wrong, where the truth is known), unknown, noise alone, others."""
    counts: Counter[str] = Counter()
    for index, each in enumerate(said):
        if each in labels:
            counts["class" if truth is None else "right" if each == truth[index] else "wrong"] += 1
        else:
            counts[{"UNKNOWN": "unknown", NOISE_ALONE: "noise alone"}.get(each, "other")] += 1
    return {name: round(100 * count / len(said), 2) for name, count in counts.items()}


# --- true windows ------------------------------------------------------------------------------------------------


def true_windows(case: Case) -> list[dict[str, Any]]:
    """Return a row for each SNR and kind of noise."""
    rng = np.random.default_rng(0)
    window = case.bundle.manifest.contract.window
    rows = []
    for snr_db, kind in [(None, "as recorded"), *((snr, kind) for snr in SNRS_DB for kind in NOISE_KINDS)]:
        tally = Tally(case)
        for label, samples in case.recordings:
            cut = cut_windows(samples, window_starts(len(samples), window, window), window)
            noisy = cut if snr_db is None else add_noise(cut, snr_db, rng, kind)
            tally.add(label, told_both(case.bundle, noisy.reshape(-1, cut.shape[2])))
        rows.append({"data": case.name, "snr_db": snr_db, "kind": kind, **tally.values()})
    return rows


class Tally:
    """Counts the verdicts on recordings, before and after."""

    def __init__(self, case: Case) -> None:
        self._labels = case.bundle.manifest.labels
        self._said: dict[str, list[str]] = {"before": [], "after": []}
        self._decided: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
        self._truth: list[str] = []

    def add(self, label: str, both: dict[str, Told]) -> None:
        for name, found in both.items():
            self._said[name] += found.windows
            classes = [each for each in found.decisions if each in self._labels]
            self._decided[name].update("right" if each == label else "wrong" for each in classes)
        self._truth += [label] * len(both["after"].windows)

    def values(self) -> dict[str, Any]:
        return {"windows": len(self._truth)} | {
            name: {**shares(said, self._labels, self._truth), "decisions": dict(self._decided[name])}
            for name, said in self._said.items()
        }


def added_noise(case: Case) -> list[dict[str, Any]]:
    """Return a row for each level of white noise that is added to true recordings."""
    rows = []
    for level_g in ADDED_G:
        tally, rng = Tally(case), np.random.default_rng(1)
        for label, samples in case.recordings:
            noisy = samples + rng.normal(size=samples.shape) * level_g
            tally.add(label, told_both(case.bundle, noisy.astype(np.float32), overlap=True))
        rows.append({"data": case.name, "added_g": level_g, **tally.values()})
    return rows


def one_axis(case: Case) -> dict[str, Any] | None:
    """Return the verdicts when one axis after the other holds noise of its level and the others are as recorded."""
    axes = len(case.bundle.manifest.contract.axes)
    if axes == 1:
        return None
    tally, rng = Tally(case), np.random.default_rng(2)
    for number, (label, samples) in enumerate(case.recordings):
        changed, axis = samples.copy(), number % axes
        changed[:, axis] = samples[:, axis].mean() + rng.normal(size=len(samples)) * samples[:, axis].std()
        tally.add(label, told_both(case.bundle, changed))
    return {"data": case.name, "axes": axes, **tally.values()}


# --- noise alone -------------------------------------------------------------------------------------------------


def power_law(exponent: float) -> Callable[[np.random.Generator, int, int], Any]:
    """Return what makes noise whose power density falls with this exponent."""
    return lambda rng, n, axes: filtered(rng, n, axes, lambda f: f ** (-exponent / 2))


def low_pass(cut_off: float, order: int) -> Callable[[np.random.Generator, int, int], Any]:
    """Return what makes white noise behind a low-pass; cut_off as a share of half the sample rate."""
    return lambda rng, n, axes: filtered(rng, n, axes, lambda f: 1 / np.sqrt(1 + (f / cut_off) ** (2 * order)))


def digital_low_pass(cut_off: float, order: int) -> Callable[[np.random.Generator, int, int], Any]:
    """Return what makes white noise behind a digital Butterworth low-pass, with zeros at half the sample rate."""

    def gain(f: Any) -> Any:
        rise = np.tan(np.pi / 2 * np.minimum(f, 0.9999)) / np.tan(np.pi / 2 * cut_off)
        return 1 / np.sqrt(1 + rise ** (2 * order))

    return lambda rng, n, axes: filtered(rng, n, axes, gain)


def resonance(radius: float, at: float) -> Callable[[np.random.Generator, int, int], Any]:
    """Return what makes white noise behind a pair of poles; at as a share of half the sample rate."""
    pole = radius * np.exp(1j * np.pi * at)

    def gain(f: Any) -> Any:
        z = np.exp(-1j * np.pi * f)
        return 1 / np.abs((1 - pole * z) * (1 - np.conj(pole) * z))

    return lambda rng, n, axes: filtered(rng, n, axes, gain)


def filtered(rng: np.random.Generator, n: int, axes: int, gain: Callable[[Any], Any]) -> Any:
    """Return n samples of Gaussian noise with this gain over the share of half the sample rate."""
    spectrum = np.fft.rfft(rng.normal(size=(n, axes)), axis=0)
    f = np.maximum(np.arange(len(spectrum)), 1)[:, None] / len(spectrum)
    return np.fft.irfft(spectrum * gain(f), n, axis=0)


KINDS: dict[str, Callable[[np.random.Generator, int, int], Any]] = {
    "white": lambda rng, n, axes: rng.normal(size=(n, axes)),
    "laplacian": lambda rng, n, axes: rng.laplace(size=(n, axes)),
    "uniform": lambda rng, n, axes: rng.uniform(-1, 1, (n, axes)),
    "blue (f)": power_law(-1.0),
    "1/f^0.5": power_law(0.5),
    "pink (1/f)": power_law(1.0),
    "1/f^1.5": power_law(1.5),
    "brown (1/f^2)": power_law(2.0),
    "white above a corner": lambda rng, n, axes: filtered(rng, n, axes, lambda f: np.sqrt(1 + 0.02 / f)),
    "first-order low-pass, 0.4": low_pass(0.4, 1),
    "second-order low-pass, 0.25": low_pass(0.25, 2),
    "second-order low-pass, 0.5": low_pass(0.5, 2),
    "eighth-order low-pass, 0.5": low_pass(0.5, 8),
    "digital low-pass, first order, 0.9": digital_low_pass(0.9, 1),
    "digital low-pass, second order, 0.9": digital_low_pass(0.9, 2),
    "digital low-pass, fourth order, 0.9": digital_low_pass(0.9, 4),
    "resonance, poles at 0.5": resonance(0.5, 0.48),
    "resonance, poles at 0.7": resonance(0.7, 0.64),
    "one noise on all axes": lambda rng, n, axes: np.repeat(rng.normal(size=(n, 1)), axes, axis=1),
}
HUM = (2.0, 0.5)
"""Mains hum with its harmonics, times the noise around it: this cannot be told from a shaft."""


def noise_alone(case: Case) -> list[dict[str, Any]]:
    """Return a row for each kind and level, in percent of windows that get a class."""
    contract = case.bundle.manifest.contract
    axes, n = len(contract.axes), contract.window + (NOISE_WINDOWS - 1) * contract.hop
    rows = []
    for kind, make in [*KINDS.items(), *((f"hum, {ratio:g} times the noise", _hum(ratio, contract.sample_rate_hz)) for
                       ratio in HUM)]:  # fmt: skip
        for level_g in LEVELS_G:
            samples = np.asarray(make(np.random.default_rng(3), n, axes))
            rows.append(_class_of_noise(case, kind, level_g, samples * (level_g / samples.std())))
    for lsb in (1, 2, 3):
        counts = np.rint(np.random.default_rng(3).normal(size=(n, axes)) * lsb)
        rows.append(_class_of_noise(case, f"converter, {lsb} LSB of noise", 0.05, counts * (0.05 / counts.std())))
    return rows


def _hum(ratio: float, sample_rate_hz: float) -> Callable[[np.random.Generator, int, int], Any]:
    def make(rng: np.random.Generator, n: int, axes: int) -> Any:
        t = np.arange(n)[:, None] / sample_rate_hz
        hum = sum(np.sin(2 * np.pi * 50 * order * t) / order for order in (1, 2, 3, 5))
        return ratio * hum / np.std(hum) + rng.normal(size=(n, axes))

    return make


def _class_of_noise(case: Case, kind: str, level_g: float, samples: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"data": case.name, "kind": kind, "level_g": level_g}
    labels = case.bundle.manifest.labels
    for name, found in told_both(case.bundle, samples.astype(np.float32), overlap=True).items():
        row[name] = shares(found.windows, labels)
        row[f"classes_decided_{name}"] = sum(each in labels for each in found.decisions)
    return row


def fan(folder: Path) -> list[dict[str, Any]]:
    """Return what share of a ceiling fan's seconds of 200 samples, and of six joined, looks like noise alone."""
    rows = []
    for path in sorted(folder.glob("*.npz")):
        seconds = np.load(path)["x"].transpose(0, 2, 1).astype(np.float32)
        level = seconds - seconds.mean(axis=1, keepdims=True)
        joined = level[: len(level) // 6 * 6].reshape(-1, 1200, 3)
        found = {name: float((chances(centre(each)) >= 0.003).mean()) for name, each in
                 (("seconds", seconds), ("joined", joined))}  # fmt: skip
        rows.append({"state": path.stem, **{name: round(100 * value, 2) for name, value in found.items()}})
    return rows


# --- cost --------------------------------------------------------------------------------------------------------


def cost(case: Case) -> dict[str, Any]:
    """Return microseconds of one window, beyond the spectrum that the distance of UNKNOWN needs too: median."""
    contract = case.bundle.manifest.contract
    true = case.recordings[0][1][: contract.window][None].astype(np.float32)
    noise = np.random.default_rng(0).normal(size=true.shape).astype(np.float32)
    at_0_db = add_noise(true, 0.0, np.random.default_rng(0))
    row: dict[str, Any] = {"data": case.name, "axes": true.shape[2], "window": contract.window}
    for name, window in (("machine", centre(true)), ("machine at 0 dB", centre(at_0_db)), ("noise", centre(noise))):
        chances(window)  # and keep the spectrum
        row[name] = {
            "hot": _median_us(partial(chances, window), None),
            "cold": _median_us(partial(chances, window), np.ones(1 << 23)),
        }
    fresh = centre(noise)
    row["spectrum, shared"] = _median_us(lambda: fresh.part(slice(None)).transform, None)
    return row


def _median_us(call: Callable[[], object], evict: Any) -> float:
    times = []
    for _ in range(2000 if evict is None else 60):
        if evict is not None:
            evict += 1.0
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(1e6 * float(np.median(times)), 1)


# --- tables ------------------------------------------------------------------------------------------------------


def withheld(said: dict[str, float]) -> float:
    """Return percent of windows without a class."""
    return round(sum(said.get(name, 0.0) for name in ("unknown", "noise alone", "other")), 2)


def tables(values: dict[str, Any]) -> str:
    lines = ["true windows withheld, %, before / after", ""]
    for row in values.get("true_windows", []):
        snr = "" if row["snr_db"] is None else f"{row['snr_db']:+g} dB"
        lines.append(
            f"{row['data']:26} {row['kind']:12} {snr:6} {withheld(row['before']):6} / {withheld(row['after']):6}"
            f"   wrong {row['before'].get('wrong', 0.0):6} / {row['after'].get('wrong', 0.0):6}"
        )
    lines += ["", "windows of noise alone that get a class, %, before / after", ""]
    for row in values.get("noise_alone", []):
        figures = " / ".join(f"{row[name].get('class', 0.0):6}" for name in ("before", "after"))
        decided = row["classes_decided_after"]
        lines.append(f"{row['data']:26} {row['kind']:36} {row['level_g']:6} g  {figures}  decided {decided}")
    for name in ("added_noise", "one_axis", "fan", "cost"):
        lines += ["", name, "", *(json.dumps(row) for row in values.get(name, []))]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "cwru", "adi", "demo"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--only", choices=PARTS, action="append", help="Measure this part again and keep the others.")
    arguments = parser.parse_args()
    path: Path = arguments.results
    values: dict[str, Any] = json.loads(path.read_text()) if path.exists() and arguments.only else {}
    all_cases = list(cases(arguments))
    for part in arguments.only or PARTS:
        values[part] = measured(part, all_cases, arguments.data)
    values["machine"] = machine()
    write_file(path, (json.dumps(values, indent=1) + "\n").encode())
    print(tables(values))


PARTS = ("true_windows", "noise_alone", "added_noise", "one_axis", "fan", "cost")


def measured(part: str, all_cases: list[Case], data: Path) -> list[dict[str, Any]]:
    """Return the rows of one part."""
    if part == "added_noise":
        return added_noise(all_cases[0])
    if part == "fan":
        return fan(data / "fan_mems_ceiling")
    if part == "one_axis":
        return [row for row in map(one_axis, all_cases) if row]
    if part == "cost":
        return [cost(case) for case in all_cases]
    return [row for case in all_cases for row in (true_windows if part == "true_windows" else noise_alone)(case)]


if __name__ == "__main__":
    main()
