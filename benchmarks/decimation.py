r"""Measure the anti-alias filter, and whether decimated recordings can be told from native ones.

    drsn-edge train --data recordings/cwru --hold-out load_hp=3 --inputs waveform --out cwru-run
    python benchmarks/decimation.py --cwru recordings/cwru --run cwru-run --results docs/results/decimation.json

filter     ripple up to 95 % of the band, worst alias into it, and change of the power of white noise, in dB
simulated  machines rendered at 48 kHz and decimated against the same machines rendered at 12 kHz: a network (nano) and
           a linear discriminant of log spectra learn to tell them apart, on other machines than they are tested on.
           Lines, ringing and noise are drawn again for each rendering, and the sensor does not round: steps of a sensor
           differ after decimation whatever the filter.
cwru       the four normals, which are decimated copies, against the 36 faults at their native rate: what the band above
           5 kHz tells, what the rest tells, and what a network that was trained on all of it makes of faults with the
           roll-off of the normals
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
from machine import machine
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.resampling import at_rate_of_model
from drsn_edge.signal.windows import cut_windows, window_starts
from drsn_edge.simulation.machine import Condition, Machine
from drsn_edge.simulation.simulator import simulate_recording, vary_machine
from drsn_edge.support.files import write_file
from drsn_edge.training.settings import ResearchSettings, TrainSettings

Samples = NDArray[np.float32]
Spectra = NDArray[np.float64]

RATIOS = (2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 1.25, 2.5, 4.03)
WINDOW = 1024
MACHINES, HELD_OUT = 8, 2
CONDITIONS = ("healthy", "imbalance", "outer_race")
SECONDS = 6.0
HIGH_HZ, LOW_HZ, FACTOR = 48_000.0, 12_000.0, 4
ROLL_OFF_HZ = 5000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cwru", type=Path, required=True, help="recordings of CWRU")
    parser.add_argument(
        "--run", type=Path, required=True, help="run folder that was trained on them, load_hp=3 held out"
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    recordings = load_recordings(arguments.cwru)
    found = {
        "machine": machine(),
        "epochs": arguments.epochs,
        "filter": [response(ratio) for ratio in RATIOS],
        "cost_ms": costs(),
        "cwru": {
            **by_spectra(recordings),
            "normal_against_faults_by_a_network": by_parts(recordings, arguments.epochs),
            **by_network(arguments.run),
        },
        "simulated": simulated(arguments.epochs),
    }
    write_file(arguments.results, (json.dumps(found, indent=1) + "\n").encode())
    print(json.dumps(found, indent=1))


# --- the filter ------------------------------------------------------------------------------------------------------


def response(ratio: float) -> dict[str, float]:
    """Return ripple, worst alias and whiteness of the filter for a ratio of rates, in dB."""
    weights = design_decimation().weights(ratio, np.zeros(1))[0].astype(np.float64)
    angle, gain = scipy.signal.freqz(weights, worN=1 << 16)
    share, level = angle / np.pi * ratio, np.abs(gain)
    passed, stopped = level[share <= 0.95], level[share >= 1.05]
    values = {
        "ratio": ratio,
        "taps": len(weights),
        "ripple_db": 20 * np.log10(passed.max() / passed.min()),
        "worst_alias_db": 20 * np.log10(stopped.max()),
    }
    if ratio % 1 == 0:
        at = np.linspace(0, 1, 2001)
        power = sum(_power(share, level, 2 * k + sign * at) for k in range(int(ratio)) for sign in (1, -1))
        white = 10 * np.log10(power - _power(share, level, at))
        values |= {"white_noise_least_db": white.min(), "white_noise_most_db": white.max()}
    return {name: round(float(value), 5) for name, value in values.items()}


def _power(share: Spectra, level: Spectra, at: Spectra) -> Spectra:
    return np.interp(np.abs(at), share, level, right=0.0) ** 2


def costs() -> dict[str, float]:
    """Return the time to decimate one window of three axes, in ms, for factors and for a sensor that is 1 % off."""
    decimation, found = design_decimation(), {}
    for ratio in (2.0, 4.0, 4.04, 8.0, 64.0):
        n = int(ratio * WINDOW) + 2 * decimation.margin(ratio) + 1
        samples = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
        times = []
        for _ in range(20):
            begin = time.perf_counter()
            at_rate_of_model(samples, ratio, decimation)
            times.append(time.perf_counter() - begin)
        found[f"{ratio:g}"] = round(1e3 * float(np.median(times)), 2)
    return found


# --- simulated machines ----------------------------------------------------------------------------------------------


def ours(samples: Samples) -> Samples:
    return at_rate_of_model(samples, FACTOR, design_decimation())


def by_kaiser(samples: Samples) -> Samples:
    """Decimate by a filter of the same length as ours that is sharp, but does not keep noise white."""
    taps = scipy.signal.firwin(2 * 96 * FACTOR + 1, 1 / FACTOR, window=("kaiser", 7.0))
    return np.asarray(scipy.signal.upfirdn(taps, samples, 1, FACTOR, axis=0)[192:-192], np.float32)


def by_scipy(samples: Samples) -> Samples:
    """Decimate as CWRU's normals were."""
    return np.asarray(scipy.signal.decimate(samples, FACTOR, ftype="fir", axis=0), np.float32)


DECIMATORS: dict[str, Callable[[Samples], Samples]] = {
    "decimated by the product": ours,
    "sharp Kaiser filter of the same length": by_kaiser,
    "scipy.signal.decimate": by_scipy,
}


NETWORKS = {"decimated by the product": ("bands", "waveform"), "scipy.signal.decimate": ("bands",)}
"""Inputs of the networks that are trained. Each takes minutes, and a linear discriminant sees more."""


def simulated(epochs: int) -> dict[str, Any]:
    """Return how well each decimator's recordings are told from native ones; 0.5 is chance."""
    high = [render(number, name, HIGH_HZ, 1) for number in range(MACHINES) for name in CONDITIONS]
    native = [render(number, name, LOW_HZ, 2) for number in range(MACHINES) for name in CONDITIONS]
    other = [render(number, name, LOW_HZ, 3) for number in range(MACHINES) for name in CONDITIONS]
    pairs = {"native again, as a control": other}
    for name, decimate in DECIMATORS.items():
        pairs[name] = [replace(each, samples=decimate(each.samples), sample_rate_hz=LOW_HZ) for each in high]
    return {name: told_apart(native, others, epochs, NETWORKS.get(name, ())) for name, others in pairs.items()}


def render(number: int, condition: str, rate_hz: float, seed: int) -> Recording:
    rng = np.random.default_rng(number)
    nominal = Machine(background_g_rthz=0.0)  # its 1/f filter has other bins at another rate
    varied = vary_machine(nominal, rng)
    varied = replace(varied, sensor=replace(varied.sensor, lsb_g=0.0))
    name = f"{condition}-{number}-{seed}"
    made = simulate_recording(varied, Condition.typical(condition), SECONDS, rate_hz, 100 * seed + number, name)
    return replace(made, fields={**made.fields, "machine": number})


def told_apart(
    native: Sequence[Recording], others: Sequence[Recording], epochs: int, networks: Sequence[str]
) -> dict[str, Any]:
    labelled = [
        replace(each, label=label, name=f"{label}-{each.name}", group=f"{label}-{each.name}")
        for label, recordings in (("native", native), ("other", others))
        for each in recordings
    ]
    linear = {condition: by_linear(labelled, condition) for condition in CONDITIONS}
    accuracies = {inputs: network_accuracy(labelled, epochs, inputs) for inputs in networks}
    return {"network": accuracies, "linear": linear}


def network_accuracy(recordings: Sequence[Recording], epochs: int, inputs: str) -> float:
    """Return the balanced accuracy of a network on machines that it was not trained on."""
    moved = [
        replace(each, fields={**each.fields, "side": int(_machine(each) >= MACHINES - HELD_OUT)}) for each in recordings
    ]
    return trained(moved, "side=1", epochs, inputs)


def _machine(recording: Recording) -> int:
    return int(recording.fields["machine"])


def trained(recordings: Sequence[Recording], hold_out: str, epochs: int, inputs: str = "waveform") -> float:
    """Train the smallest network without any change of its windows; return its balanced accuracy."""
    from drsn_edge.evaluation.after_training import evaluate
    from drsn_edge.training.train import train

    research = ResearchSettings(clean_share=1.0, speed_range=0.0)  # no change of the windows that could hide an edge
    settings = TrainSettings(
        hold_out, "nano", window=WINDOW, hop=WINDOW, inputs=inputs, epochs=epochs, class_weights="balanced",
        learning_rate=1e-2, allow_leaks=True, most_damaged=1.0, research=research,
    )  # fmt: skip
    return round(evaluate(train(recordings, settings))["held_out"]["clean"]["balanced_accuracy"], 4)


def by_linear(recordings: Sequence[Recording], condition: str) -> float:
    """Return the balanced accuracy of a linear discriminant of log spectra."""
    chosen = [each for each in recordings if f"-{condition}-" in each.name]
    sets = [(_machine(each) >= MACHINES - HELD_OUT, each.label == "other", spectra(each.samples))
            for each in chosen]  # fmt: skip
    return _discriminant([(x, y) for held, y, x in sets if not held], [(x, y) for held, y, x in sets if held])


Labelled = Sequence[tuple[Spectra, bool]]


def _discriminant(train: Labelled, test: Labelled) -> float:
    x, y = (np.concatenate(part) for part in zip(*((x, np.full(len(x), label)) for x, label in train), strict=True))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5]).fit(x, y)
    recalls = [
        np.mean(np.concatenate([model.predict(x) == label for x, given in test if given == label]))
        for label in (False, True)
    ]
    return round(float(np.mean(recalls)), 4)


def spectra(samples: Samples, low_hz: float = 0.0, high_hz: float = LOW_HZ / 2) -> Spectra:
    """Return the log spectrum of each window between two frequencies, without its mean: its shape alone."""
    windows = cut_windows(samples, window_starts(len(samples), WINDOW, WINDOW), WINDOW)
    windows = windows - windows.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW)[:, None], axis=1)) ** 2
    hz = np.fft.rfftfreq(WINDOW, 1 / LOW_HZ)
    chosen = np.log(power[:, (hz > low_hz) & (hz < high_hz)].mean(axis=2) + 1e-20)
    return np.asarray(chosen - chosen.mean(axis=1, keepdims=True))


# --- CWRU ------------------------------------------------------------------------------------------------------------

PARTS = {"whole band": (0.0, 6000.0), "below 5 kHz": (0.0, ROLL_OFF_HZ), "above 5 kHz": (ROLL_OFF_HZ, 6000.0)}


def by_parts(recordings: Sequence[Recording], epochs: int) -> dict[str, float]:
    """Return how well a network tells the normals from the faults by parts of the band, load 3 held out."""
    return {name: trained([_part(each, *band) for each in recordings], "load_hp=3", epochs, "bands")
            for name, band in PARTS.items()}  # fmt: skip


def _part(recording: Recording, low_hz: float, high_hz: float) -> Recording:
    n = len(recording.samples)
    hz = np.fft.rfftfreq(n, 1 / LOW_HZ)
    kept = (hz > low_hz) & (hz <= high_hz)
    samples = np.fft.irfft(np.fft.rfft(recording.samples, axis=0) * kept[:, None], n, axis=0).astype(np.float32)
    return replace(recording, samples=samples, label="normal" if recording.label == "normal" else "fault")


def by_spectra(recordings: Sequence[Recording]) -> dict[str, Any]:
    """Return how well each class is told from all others by parts of the band, load 3 held out."""
    labels = sorted({each.label or "" for each in recordings})
    found: dict[str, Any] = {}
    for name, (low_hz, high_hz) in PARTS.items():
        sets = [
            (each.fields["load_hp"] == 3, each.label, spectra(each.samples, low_hz, high_hz)) for each in recordings
        ]
        found[name] = {
            label: _discriminant(
                [(x, y == label) for held, y, x in sets if not held], [(x, y == label) for held, y, x in sets if held]
            )
            for label in labels
        }
    return {"one_class_against_all_others_by_spectral_shape": found}


def roll_off(samples: Samples) -> Samples:
    """Return windows (n, WINDOW, axes) with the roll-off that `scipy.signal.decimate` gave the normals."""
    taps = scipy.signal.firwin(20 * FACTOR + 1, 1 / FACTOR, window="hamming")
    hz = np.fft.rfftfreq(samples.shape[1], 1 / LOW_HZ)
    _, gain = scipy.signal.freqz(taps, worN=hz, fs=HIGH_HZ)
    return _shaped(samples, np.abs(gain))


def low_pass(samples: Samples) -> Samples:
    """Return windows without what lies above 5 kHz, with an edge of 200 Hz."""
    hz = np.fft.rfftfreq(samples.shape[1], 1 / LOW_HZ)
    return _shaped(samples, np.clip((ROLL_OFF_HZ - hz) / 200.0, 0, 1))


def _shaped(samples: Samples, gain: Spectra) -> Samples:
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, axis=1) * gain[:, None], samples.shape[1], axis=1), np.float32)


def by_network(folder: Path) -> dict[str, Any]:
    """Return what a trained network makes of its hold-out windows after changes of the top of their band."""
    from drsn_edge.training.run_folder import load_run
    from drsn_edge.training.train import predict_classes

    run = load_run(folder)
    held_out, normal = run.held_out, run.labels.index("normal")
    is_normal = held_out.labels == normal

    def judged(windows: WindowSet) -> dict[str, float]:
        named = predict_classes(run.model, windows, run.contract)
        return {
            "accuracy": round(float(np.mean(named == held_out.labels)), 4),
            "normals_called_normal": round(float(np.mean(named[is_normal] == normal)), 4),
            "faults_called_normal": round(float(np.mean(named[~is_normal] == normal)), 4),
        }

    def changed(change: Callable[[Samples], Samples], where: NDArray[np.bool_]) -> WindowSet:
        windows = held_out.windows.copy()
        windows[where] = change(windows[where])
        return replace(held_out, windows=windows)

    everywhere = np.ones(len(is_normal), bool)
    judge = partial(map, judged)
    as_is, faults, low = judge([held_out, changed(roll_off, ~is_normal), changed(low_pass, everywhere)])
    return {
        "network_on_hold_out": {
            "as recorded": as_is,
            "faults with the roll-off of the normals": faults,
            "all without what lies above 5 kHz": low,
        }
    }


if __name__ == "__main__":
    main()
