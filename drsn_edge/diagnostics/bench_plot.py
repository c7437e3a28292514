"""Picture of what a bundle costs on a machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drsn_edge.diagnostics.bench import Benched
from drsn_edge.support.pictures import BLUE, GREEN, GREY, ORANGE, RED, new_figure, save_picture


def save_bench(benched: Benched, name: str, path: Path) -> None:
    """Save a picture: latencies with the budget, windows per second by threads, and time by operator.

    Args:
        benched: The measurements.
        name: Name of the bundle, for the title.
        path: File of the PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    figure = new_figure(13, 4)
    left, middle, right = figure.subplots(1, 3)
    latencies = np.array(benched.latencies_ms)
    left.hist(latencies, bins=np.geomspace(latencies.min(), latencies.max() * 1.01, 60), color=BLUE)
    left.set(
        xscale="log",
        xlabel="ms per window",
        ylabel="windows",
        title=f"latency on {benched.runtime or 'NumPy'}, one thread",
    )
    left.axvline(benched.first_ms, color=ORANGE, linestyle=":", label=f"first window {benched.first_ms:.3g} ms")
    if benched.budget_ms is not None:
        left.axvline(benched.budget_ms, color=RED, linestyle="--", label=f"budget {benched.budget_ms:.3g} ms")
    left.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    threads = list(benched.windows_per_s)
    middle.bar([str(each) for each in threads], list(benched.windows_per_s.values()), color=GREEN)
    middle.set(
        xlabel="threads",
        ylabel="windows per second",
        title="network alone" if benched.runtime else "novelty (no network)",
    )
    operators = benched.operators_us or {}
    right.barh(list(operators)[::-1], list(operators.values())[::-1], color=GREY)
    right.set(xlabel="µs per window", title="operators, in the NumPy engine" if benched.runtime else "no operators")
    what = "interpreter and model" if benched.runtime else "novelty"
    figure.suptitle(
        f"{name}: {what} {benched.memory_mb:.0f} MB, start {benched.start_s:.2f} s, "
        f"{100 * benched.pipeline_share:.2f} % of a core per sensor, room for {benched.sensors} sensors"
    )
    save_picture(figure, path)
