"""Measure the time of a window's checks for damage and repetition, alone and with nine others.

    python benchmarks/check_cost.py [--rounds 2000]

The windows have 1024 samples and overlap by half. They come from a simulated machine measured by an ADXL345 (few
counts, three axes), and from noise through two resonances in 16 bits (one and three axes). A stretch is what severity
is measured from: two seconds at 26.7 kHz, every second. Hot: one call directly after the other. Cold: after 4 ms of
sleep and a sweep of 64 MB, as on a gateway with other work. Figures are medians in microseconds per window.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from drsn_edge.signal.quality import SensorLimits, find_defects
from drsn_edge.signal.repeats import RepeatWatch
from drsn_edge.signal.windows import Window
from drsn_edge.simulation.machine import Condition, Machine
from drsn_edge.simulation.simulator import VibrationSimulator

WINDOW, HOP = 1024, 512
STRETCH, STRETCH_HOP = 53_333, 26_667
TOGETHER = 10
SWEEP_BYTES = 64_000_000
SLEEP_S = 0.004


def signals(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lines = np.fft.rfftfreq(n)
    shape = sum(1 / (1 + ((lines - at) / width) ** 2) for at, width in ((0.11, 0.02), (0.27, 0.03)))
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=(n, 3)), axis=0) * np.sqrt(shape + 1e-4)[:, None], n=n, axis=0)
    fine = np.rint(500 * noise / noise.std()).astype(np.int16)
    simulator = VibrationSimulator(Machine(), Condition.typical("outer_race"), 3200.0, 0)
    coarse = np.rint(simulator.samples(n) * 256).astype(np.int16)
    return {"16 bits, 1 axis": fine[:, :1].copy(), "16 bits, 3 axes": fine, "ADXL345, 3 axes": coarse}


def windows_of(counts: Any, window: int = WINDOW, hop: int = HOP) -> list[Window]:
    return [Window(at, 0.0, counts[at : at + window], 0) for at in range(0, len(counts) - window + 1, hop)]


def median_us(act: Callable[[list[Window]], object], windows: list[Window], together: int, is_cold: bool) -> float:
    sweep, took = np.zeros(SWEEP_BYTES, np.uint8), []
    for at in range(0, len(windows) - together + 1, together):
        part = windows[at : at + together]
        if is_cold:
            time.sleep(SLEEP_S)
            sweep += 1
        began = time.perf_counter_ns()
        act(part)
        took.append(time.perf_counter_ns() - began)
    return round(float(np.median(took)) / 1000 / together, 1)


def is_damaged(windows: list[Window]) -> object:
    return find_defects(windows, [SensorLimits(32_700.0, 12_000.0)] * len(windows), [None] * len(windows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=2000, help="hot windows; a tenth as many are cold (default: 2000)"
    )
    rounds: int = parser.parse_args().rounds
    for name, counts in signals(HOP * (rounds + 1)).items():
        windows = windows_of(counts)
        for state, chosen in (("hot", windows), ("cold", windows[: rounds // 10])):
            row: dict[str, object] = {"signal": name, "caches": state}
            for together in (1, TOGETHER):
                row[f"damaged, {together} together"] = median_us(is_damaged, chosen, together, state == "cold")
                watch = RepeatWatch()
                row[f"there before, {together} together"] = median_us(watch.repeat, chosen, together, state == "cold")
            print(json.dumps(row))
        stretches = windows_of(counts, STRETCH, STRETCH_HOP)
        row = {"signal": name, "damaged, a stretch": median_us(is_damaged, stretches, 1, False)}
        print(json.dumps({**row, "there before, a stretch": median_us(RepeatWatch(2048).repeat, stretches, 1, False)}))


if __name__ == "__main__":
    main()
