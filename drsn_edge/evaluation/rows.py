"""Windows without overlap, joined to rows and stretches of samples, as long as they follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.evidence import TIME_S, combined, windows_in
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.resemblance import can_name, stretch_samples
from drsn_edge.signal.windows import FloatArray, cut_windows, window_starts


@dataclass(frozen=True)
class Row:
    """Successive samples of a recording, shape (n, axes), and its shaft speed in turns per second, NaN if unknown."""

    samples: FloatArray
    shaft_hz: float


def rows_of(windows: WindowSet, window: int) -> Iterator[Row]:
    """Yield windows that follow each other without overlap as one row of samples.

    Args:
        windows: Windows without overlap, in any order.
        window: Samples of a window.
    """
    order = np.lexsort((windows.first_samples, windows.recordings))
    names, starts = windows.recordings[order], windows.first_samples[order]
    follows = (names[1:] == names[:-1]) & (np.diff(starts) == window)
    for part in np.split(order, np.flatnonzero(~follows) + 1):
        if len(part):
            samples = windows.windows[part]
            yield Row(samples.reshape(-1, samples.shape[2]), float(windows.speeds_hz[part[0]]))


def stretches_of(windows: WindowSet, contract: SignalContract) -> Iterator[Row]:
    """Yield stretches that are long enough for a name, without overlap; none where the shaft speed is unknown."""
    for row in rows_of(windows, contract.window):
        if can_name(contract.sample_rate_hz, row.shaft_hz):
            n = max(stretch_samples(contract.sample_rate_hz, row.shaft_hz), contract.window)
            for at in range(0, len(row.samples) - n + 1, n):
                yield Row(row.samples[at : at + n], row.shaft_hz)


def evidence_of(novelty: Novelty, contract: SignalContract, samples: FloatArray) -> NDArray[np.float64]:
    """Return the median novelty of each second of successive samples, as a monitor has it; of all if they are shorter.

    Args:
        novelty: What was learned.
        contract: Signal contract of the samples.
        samples: At least one window of samples, shape (n, axes).
    """
    window, hop = contract.window, contract.hop
    windows = cut_windows(samples, window_starts(len(samples), window, hop), window)
    count = windows_in(TIME_S, window / contract.sample_rate_hz, contract.hop_s)
    return combined(novelty.novelty(windows), min(count, len(windows)))
