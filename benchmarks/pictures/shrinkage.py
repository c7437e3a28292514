"""Draw one window of a trained network, its thresholds, and what they set to zero.

    drsn-edge demo --speed 0
    python benchmarks/pictures/shrinkage.py --run drsn-edge-demo/run --write docs/pictures/shrinkage.png

The picture of docs/explanation/shrinkage.md. It prints the figures that the page quotes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.models.drsn import TAU
from drsn_edge.signal.network_input import network_input
from drsn_edge.support.palette import colours_of
from drsn_edge.support.pictures import BLUE, GREY, PAGE_DPI, SMALL, draw_grid, new_figure, save_picture
from drsn_edge.training.run_folder import Run, load_run

BLOCK = 1
"""Number of the block that is drawn, from 1: its steps are the finest in time."""


@dataclass(frozen=True)
class Shrinkage:
    """What one block's shrinkage does to windows.

    Attributes:
        features: Before the threshold, shape (n, steps, channels); no unit.
        tau: Threshold of each window and channel, shape (n, channels), in the unit of the features.
    """

    features: NDArray[np.float32]
    tau: NDArray[np.float32]

    @property
    def mean_absolute(self) -> NDArray[np.float32]:
        """Mean of |feature| over time, shape (n, channels)."""
        return np.asarray(np.abs(self.features).mean(axis=1))

    @property
    def is_zero(self) -> NDArray[np.bool_]:
        """Which features the threshold sets to zero, shape (n, steps, channels)."""
        return np.asarray(np.abs(self.features) <= self.tau[:, None])

    @property
    def after(self) -> NDArray[np.float32]:
        """Features after the threshold, shape (n, steps, channels), by the textbook's formula."""
        return np.asarray(np.sign(self.features) * np.maximum(np.abs(self.features) - self.tau[:, None], 0))


def shrinkage_of(run: Run, block: int) -> Shrinkage:
    """Return what a block does to the held-out windows of a run."""
    import keras

    kernel = (1, run.config["network"]["kernel"])
    thresholds = run.model.get_layer(f"{TAU}_{block}")
    before = run.model.layers[: run.model.layers.index(thresholds)]
    last = [layer for layer in before if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == kernel][-1]
    inner = keras.Model(run.model.input, [last.output, thresholds.output])
    features, tau = inner.predict(network_input(run.held_out.windows, run.contract), verbose=0)
    return Shrinkage(features[:, 0], tau[:, 0, 0])


def draw(run: Run, found: Shrinkage, window: int, channel: int, path: Path) -> None:
    label = run.labels[run.held_out.labels[window]]
    colour = colours_of(run.labels)[label]
    figure = new_figure(6.5, 9.5)
    signal, feature, bars = figure.subplots(3, 1, height_ratios=(2, 3, 3))
    samples = run.held_out.windows[window]
    time_ms = 1000 * np.arange(len(samples)) / run.contract.sample_rate_hz
    signal.plot(time_ms, samples[:, 0] - samples[:, 0].mean(), color=colour, linewidth=0.8)
    signal.set(title=f"One window of a machine with a fault: {label}", xlabel="time, ms")
    signal.set_ylabel(f"{run.contract.axes[0]} axis, {run.contract.unit}")
    draw_features(feature, found, window, channel, time_ms[-1])
    draw_channels(bars, found, window)
    for axes in (signal, feature):
        axes.set_xlim(0, time_ms[-1])
    draw_grid(signal, feature, bars)
    save_picture(figure, path, PAGE_DPI)


def draw_features(axes: Any, found: Shrinkage, window: int, channel: int, length_ms: float) -> None:
    before, after = found.features[window, :, channel], found.after[window, :, channel]
    tau, zero = float(found.tau[window, channel]), found.is_zero[window, :, channel]
    time_ms = (np.arange(len(before)) + 0.5) * length_ms / len(before)
    axes.axhspan(-tau, tau, color=GREY, alpha=0.2, label=f"within the threshold, {tau:.2f}")
    axes.plot(time_ms, before, color=GREY, linewidth=1, label="before")
    axes.plot(time_ms, after, color=BLUE, linewidth=2, label="after")
    axes.plot(time_ms[zero], after[zero], "o", color="black", markersize=4, label="set to zero")
    axes.set(title=f"Block {BLOCK}, channel {channel + 1}: {zero.sum()} of {len(zero)} features are set to zero")
    axes.set(xlabel="time, ms", ylabel="feature, no unit")
    axes.set_ylim(1.1 * before.min(), before.max() + 0.35 * np.ptp(before))
    axes.legend(fontsize=SMALL, loc="upper right", ncols=2)


def draw_channels(axes: Any, found: Shrinkage, window: int) -> None:
    tau, mean = found.tau[window], found.mean_absolute[window]
    shares = found.is_zero[window].mean(axis=0)
    at = np.arange(1, len(tau) + 1)
    axes.bar(at - 0.2, mean, width=0.4, color=GREY, alpha=0.5, label="mean of |feature|")
    axes.bar(at + 0.2, tau, width=0.4, color=BLUE, label="threshold")
    for number, height, share in zip(at, mean, shares, strict=True):
        axes.text(number, height + 0.03, f"{share:.0%}", ha="center", va="bottom")
    axes.set(title=f"Block {BLOCK}: thresholds, and the share that they set to zero")
    axes.set(xlabel=f"channel of block {BLOCK}, number", ylabel="feature, no unit", ylim=(0, 1.2 * mean.max()))
    axes.set_xticks(at)
    axes.legend(fontsize=SMALL, loc="upper right")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the demo")
    parser.add_argument("--write", type=Path, required=True, help="PNG")
    parser.add_argument("--label", default="outer_race", help="class of the window")
    parser.add_argument("--number", type=int, default=5, help="which of the held-out windows of the class, from 0")
    arguments = parser.parse_args()
    run = load_run(arguments.run)
    found = shrinkage_of(run, BLOCK)
    window = int(np.flatnonzero(run.held_out.labels == run.labels.index(arguments.label))[arguments.number])
    shares = found.is_zero[window].mean(axis=0)
    channel = int(shares.argmax())
    draw(run, found, window, channel, arguments.write)
    print(f"window {window} of {run.held_out.recordings[window]}")
    for number, (tau, mean, share) in enumerate(
        zip(found.tau[window], found.mean_absolute[window], shares, strict=True), 1
    ):
        print(f"channel {number}: threshold {tau:.2f}, mean of |feature| {mean:.2f}, set to zero {share:.1%}")
    for label, index in zip(run.labels, range(len(run.labels)), strict=True):
        print(f"{label}: set to zero {found.is_zero[run.held_out.labels == index].mean():.1%} of block {BLOCK}")


if __name__ == "__main__":
    main()
