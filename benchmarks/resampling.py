"""Measure the accuracy lost to a sensor whose true sampling rate is off, with and without the monitor's resampling.

    python benchmarks/resampling.py --data recordings/cwru --model cwru.drsn --only load_hp=3

Each recording is resampled to what a sensor of that rate would have measured. Once its true rate is stated, so that the
monitor takes windows back to the model's; once it is passed off as the nominal one; and where soxr is installed (`pip
install soxr`), once with that in place of the monitor's own resampler. UNKNOWN counts as wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import scipy.signal

from drsn_edge.bundle.bundle import Bundle, read_bundle
from drsn_edge.monitor.offline.classify import classify
from drsn_edge.monitor.stages.judge import model_of
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.resampling import Cut
from drsn_edge.signal.windows import FloatArray

try:
    import soxr
except ImportError:
    soxr = None

OFF = (-0.03, -0.01, 0.0, 0.01, 0.03)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--only", default="", metavar="FIELD=VALUE")
    arguments = parser.parse_args()
    name, _, value = arguments.only.partition("=")
    chosen = [r for r in load_recordings(arguments.data) if not name or str(r.fields.get(name)) == value]
    bundle = read_bundle(arguments.model)
    for off in OFF:
        true = [measured(each, off) for each in chosen]
        passed_off = [replace(each, sample_rate_hz=old.sample_rate_hz) for each, old in zip(true, chosen, strict=True)]
        shares = {"resampled": right(true, bundle), "ignored": right(passed_off, bundle)}
        if soxr is not None:
            with patch("drsn_edge.monitor.stages.judge.resampled", by_soxr):
                shares["soxr"] = right(true, bundle)
        print(json.dumps({"rate_off": off, **shares}))


def measured(recording: Recording, off: float) -> Recording:
    """Return what a sensor of another rate would have measured: by Fourier's series, with all of its band."""
    n = round(len(recording.samples) * (1 + off))
    samples = scipy.signal.resample(recording.samples, n).astype(np.float32)
    return replace(recording, samples=samples, sample_rate_hz=recording.sample_rate_hz * n / len(recording.samples))


def by_soxr(samples: FloatArray, cut: Cut, window: int) -> FloatArray:
    """Do what `resampled` does, with soxr in its default quality."""
    if cut.ratio == 1.0:
        return samples
    first = round(cut.margin / cut.ratio)
    out = np.asarray(soxr.resample(samples[0], cut.ratio, 1.0), np.float32)
    return out[None, first : first + window]


def right(recordings: Iterable[Recording], bundle: Bundle) -> float:
    model = model_of(bundle)
    found = [classify(each, model, MonitorSettings()) for each in recordings]
    hits = sum(each.counts[each.label or ""] for each in found)
    return round(hits / sum(len(each.states) for each in found), 4)


if __name__ == "__main__":
    main()
