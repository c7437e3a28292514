"""Pictures of an inspection, drawn from the values of its report, for paper and phone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from drsn_edge.support.pictures import BLUE, ORANGE, RED, SMALL, draw_grid, new_figure, png_of

Values = Mapping[str, Any]

_MODELS = {
    "float32": ("float32", "black", "o"),
    "calibrated": ("int8, calibrated", ORANGE, "s"),
    "int8": ("int8", BLUE, "D"),
}


def draw_pictures(report: Values) -> dict[str, bytes]:
    """Return a PNG by title for each picture that the report has values for."""
    drawn = {}
    for title, (wanted, plot) in _PICTURES.items():
        if wanted(report):
            drawn[title] = png_of(plot(report))
    return drawn


def plot_accuracy(report: Values) -> Figure:
    """Plot accuracy against signal-to-noise ratio: a panel for each kind of noise, a line for each model."""
    rows = report["accuracy"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["kind"]))
    figure = new_figure(8, 5.5)
    panels = figure.subplots(2, (len(kinds) + 1) // 2, sharex=True, sharey=True, squeeze=False)
    for axes, kind in zip(panels.flat, kinds, strict=False):
        for key, (label, colour, marker) in _MODELS.items():
            found = [row for row in rows if row["kind"] == kind and row.get(key) is not None]
            points = [(row["snr_db"], 100 * row[key]) for row in found]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label)
        axes.set_title(kind, fontsize=10)
        draw_grid(axes)
    for axes in panels[-1]:
        axes.set_xlabel("signal-to-noise ratio, dB")
    for axes in panels[:, 0]:
        axes.set_ylabel("accuracy, %")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), fontsize=SMALL)
    return figure


def plot_budget(report: Values) -> Figure:
    """Plot the mean threshold of every channel in steps of int8, block by block."""
    budgets = report["measurement"]["budgets"]
    figure = new_figure(7, 4)
    axes = figure.subplots()
    for number, budget in enumerate(budgets, start=1):
        axes.plot([number] * len(budget["tau_lsb"]), budget["tau_lsb"], ".", color=BLUE, alpha=0.6)
    axes.axhline(1, color=RED, linestyle=":", label="one step: a lower threshold sets nothing to zero")
    axes.set_yscale("symlog", linthresh=0.1)
    highest = max(max(budget["tau_lsb"]) for budget in budgets)
    axes.set(xlabel="block", ylabel="mean threshold tau, steps of int8", xticks=range(1, len(budgets) + 1))
    axes.set_ylim(0, 2 * max(highest, 1))
    figure.legend(loc="outside upper center", fontsize=SMALL)
    draw_grid(axes)
    return figure


def plot_noise(report: Values) -> Figure:
    """Plot the signal-to-quantization-noise ratio behind each operator, from the input to the logits."""
    layers = [each for each in report["measurement"]["layers"] if each["sqnr_db"] is not None]
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.plot([each["operator"] + 1 for each in layers], [each["sqnr_db"] for each in layers], ".-", color=BLUE)
    axes.set(xlabel="operator, in the file's order", ylabel="signal-to-quantization-noise ratio, dB", ylim=(0, None))
    draw_grid(axes)
    return figure


def plot_backends(report: Values) -> Figure:
    """Plot the number of logits by their difference in steps, a panel for each pair of backends."""
    pairs = report["backends"]["comparisons"]
    figure = new_figure(8, 1.6 * ((len(pairs) + 1) // 2) + 0.8)
    panels = figure.subplots((len(pairs) + 1) // 2, 2, sharex=True, sharey=True, squeeze=False)
    for axes, pair in zip(panels.flat, pairs, strict=False):
        steps = {int(step): count for step, count in pair["lsb_differences"].items()}
        axes.bar(list(steps), list(steps.values()), width=0.9, color=BLUE)
        axes.set_title(
            f"{pair['first']} / {pair['second']}: {pair['class_flips']} windows differ in class", fontsize=SMALL
        )
        axes.set_yscale("log")
        draw_grid(axes)
    for axes in panels.flat[len(pairs) :]:
        axes.set_axis_off()
    figure.supxlabel("difference of a logit, steps of int8", fontsize=9)
    figure.supylabel("number of logits", fontsize=9)
    return figure


def plot_early(report: Values) -> Figure:
    """Plot how often simulated faults are announced, and named rightly, by their power: a panel each."""
    early = report["novelty"]["early"]
    faults, severities = early["faults"], early["severities_db"]
    figure = new_figure(8, 0.32 * len(faults) + 1.6)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key, title in zip(panels, ("announced", "named"), ("announced", "right name"), strict=True):
        axes.imshow([each[key] for each in faults], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, each in enumerate(faults):
            for column, share in enumerate(each[key]):
                colour = "white" if share > _DARK else "black"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=7)
        axes.set_title(f"{title}, % of the stretches", fontsize=SMALL)
        axes.set_xticks(range(len(severities)), [f"{each:+.0f}" for each in severities], fontsize=7)
        axes.set_yticks(range(len(faults)), [each["fault"] for each in faults], fontsize=SMALL)
    figure.supxlabel("power that a simulated fault adds over the healthy vibration, dB", fontsize=9)
    return figure


_DARK = 0.6
"""Share from which a cell is so dark that its number is white."""

_PICTURES: dict[str, tuple[Callable[[Values], object], Callable[[Values], Figure]]] = {
    "Announced": (
        lambda report: report.get("novelty") and (report["novelty"].get("early") or {}).get("faults"),
        plot_early,
    ),
    "Accuracy with noise": (lambda report: report["accuracy"], plot_accuracy),
    "Thresholds": (lambda report: report["measurement"] and report["measurement"]["budgets"], plot_budget),
    "Noise of quantization": (
        lambda report: report["measurement"] and any(each["sqnr_db"] for each in report["measurement"]["layers"]),
        plot_noise,
    ),
    "Backends": (lambda report: report["backends"] and report["backends"]["comparisons"], plot_backends),
}
