"""Write docs/MONITOR.md and its picture from the results of the monitor's benchmarks.

    python benchmarks/monitor_tables.py --results docs/results/ --write docs/MONITOR.md

Each section comes from a file of the results folder; a section whose file is missing is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from int8_tables import machine, table, write_document

from drsn_edge.support.pictures import BLUE, GREY, MARKED, PAGE_DPI, SMALL, draw_grid, new_figure, save_picture

Values = Any
PICTURE = Path("pictures") / "monitor_growth.png"
COLUMNS = {
    "rate_hz": ("sampling rate", "sampling rate, kHz"),
    "axes": ("axes", "axes of the sensor"),
    "sensors": ("sensors", "sensors in one process"),
    "window": ("window", "samples in a window"),
    "overlap": ("overlap", "overlap, % of a window"),
}


def main() -> None:
    write_document(__doc__, HEAD, SECTIONS)


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def milliseconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f} ms"


def losses(found: Values) -> int:
    return int(found["samples_lost"] + found["samples_not_received"])


def cost(report: Values, _: Path) -> str:
    bars = report["bars"]
    rows = [
        ["share of a core", percent(report["core_share"]), percent(bars["core_share"], 0)],
        ["the same, read as often as a serial port", percent(report["as_serial_port"]["core_share"]), ""],
        ["last byte of a window to its line, median", milliseconds(report["beyond_window_ms_median"]), ""],
        ["the same, 99 %", milliseconds(report["beyond_window_ms_p99"]), milliseconds(bars["beyond_window_ms_p99"])],
        ["memory", f"{report['resident_mb']:.0f} MB", f"{bars['resident_mb']:.0f} MB"],
        ["start to the first decision, beyond its windows", f"{report['first_decision_s']:.2f} s",
         f"{bars['first_decision_s']:.1f} s"],
        ["threads woken in a second", f"{report['wakeups_per_s']:.0f}", ""],
        ["the same, read as often as a serial port", f"{report['as_serial_port']['wakeups_per_s']:.0f}", ""],
        ["longest wait of the sensor for its reader", milliseconds(1000 * report["sender_held_s"]), "10 ms"],
        ["samples lost / windows skipped", f"{losses(report)} / {report['windows_skipped']}", "0 / 0"],
    ]  # fmt: skip
    return section(COST, report, ["one sensor of 26.7 kHz, 3 axes", "measured", "goal, at most"], rows)


def pairs(report: Values, _: Path) -> str:
    names = list(report["medians"])
    medians = report["medians"]
    rows = [
        ["share of a core", *(percent(medians[name]["core_share"]) for name in names)],
        ["lowest to highest", *(spread(report["runs"][name]) for name in names)],
        ["ratio to `before`", "1", *(f"{report['median_ratios'][name]:.2f}" for name in names[1:])],
        ["goal for the ratio, at most", "", f"{report['bars']['median_ratio']:.2f}",
         f"{report['bars']['median_ratio_at_20_ms']:.2f}"],
        ["last byte to line, median", *(milliseconds(medians[name]["beyond_window_ms_median"]) for name in names)],
        ["last byte to line, 99 %", *(milliseconds(medians[name]["beyond_window_ms_p99"]) for name in names)],
        ["memory", *(f"{medians[name]['resident_mb']:.0f} MB" for name in names)],
        ["start to the first decision", *(f"{medians[name]['first_decision_s']:.2f} s" for name in names)],
        ["threads woken in a second", *(f"{medians[name]['wakeups_per_s']:.0f}" for name in names)],
    ]  # fmt: skip
    n_rounds, seconds = len(report["runs"][names[0]]), report["runs"][names[0]][0]["measured_s"]
    length = f"{n_rounds} rounds, {seconds:.0f} s for each measurement."
    commits = f"`before` is commit {report['commits']['before']}, `now` is {report['commits']['now']}."
    starts = f"First decisions within a second of the start: {report['first_decisions_within_a_second']} runs of `now`."
    return section(PAIRS, report, ["medians", *(f"`{name}`" for name in names)], rows, f"{length} {commits} {starts}")


def spread(runs: list[Values]) -> str:
    shares = [100 * run["core_share"] for run in runs]
    return f"{min(shares):.1f} to {max(shares):.1f} %"


def replay(report: Values, _: Path) -> str:
    rows = [
        [f"`{name}`", f"{found['took_s']:.0f} s", f"{found['processor_s']:.0f} s",
         f"{3600 * report['hours'] / found['took_s']:.0f}"]
        for name, found in report["took"].items()
    ]  # fmt: skip
    lines = report["lines"]
    words = (
        f"`now` takes {report['ratio']:.2f} of the time of `before`; the goal is {report['bars']['ratio']:.2f}. "
        f"Of {lines['before']['lines']} lines, {lines['before']['lines_that_differ']} differ from those of `before`. "
        f"Of {lines['live']['lines']} lines of a live run, {lines['live']['lines_that_differ']} differ in its replay."
    )
    head = [f"{60 * report['hours']:.0f} minutes of stream", "time", "processor time", "times real time"]
    return section(REPLAY, report, head, rows, words)


def sensors(report: Values, _: Path) -> str:
    return section(SENSORS, report, SENSORS_HEAD, [sensors_row(each) for each in report["found"]])


SENSORS_HEAD = [
    "sensors",
    "measured",
    "share of a core",
    "each",
    "memory",
    "last byte to line, 99 %",
    "lost",
    "skipped",
    "limit",
]


def sensors_row(found: Values) -> list[str]:
    return [
        str(found["sensors"]),
        f"{found['measured_s']:.0f} s",
        percent(found["core_share"], 0),
        percent(found["core_share_each"]),
        f"{found['resident_mb']:.0f} MB",
        milliseconds(found["beyond_window_ms_p99"]),
        str(losses(found)),
        str(found["windows_skipped"]),
        found["first_limit"],
    ]


def soak(report: Values, _: Path) -> str:
    return section(SOAK, report, SENSORS_HEAD, [sensors_row(each) for each in report["found"]])


def growth(lines: list[Values], folder: Path) -> str:
    (folder / PICTURE.parent).mkdir(exist_ok=True)
    draw(lines, folder / PICTURE)
    base = next(line for line in lines if line["factor"] == "base")
    rows = [growth_row(name, factor, line) for factor, (name, _) in COLUMNS.items() for line in along(factor, lines)]
    start, each_ms = line_through(lines)
    room = (1 - start) / each_ms * 1000
    ends = ENDS.format(start=percent(start), each_ms=each_ms, room=room, sensors=room / base["windows_per_s"])
    head = ["factor", "value", "windows in a second", "share of a core", "last byte to line, 99 %", "lost", "skipped"]
    length = f"{min(line['measured_s'] for line in lines):.0f} s for each point."
    return "\n\n".join([section(GROWTH, base, head, rows, length), GROWTH_PICTURE, ends])


def along(factor: str, lines: list[Values]) -> list[Values]:
    """Return the points of a factor, the base among them, in its order."""
    return sorted(
        (line for line in lines if line["factor"] in ("base", factor)), key=lambda line: float(line["point"][factor])
    )


def growth_row(name: str, factor: str, line: Values) -> list[str]:
    return [
        name,
        shown(factor, line["point"][factor]),
        f"{line['windows_per_s']:.1f}",
        percent(line["core_share"]),
        milliseconds(line["beyond_window_ms_p99"]),
        str(losses(line)),
        str(line["windows_skipped"]),
    ]


def shown(factor: str, value: float) -> str:
    if factor == "rate_hz":
        return f"{value / 1000:.1f} kHz"
    return f"{100 * value:g} %" if factor == "overlap" else f"{value:g}"


def line_through(lines: list[Values]) -> tuple[float, float]:
    """Return the share of a core without windows, and the ms of a window, of the numbers of sensors that fit a core."""
    found = [line for line in lines if line["factor"] in ("base", "sensors") and line["core_share"] < 0.9]
    each, start = np.polyfit([line["windows_per_s"] for line in found], [line["core_share"] for line in found], 1)
    return max(0.0, float(start)), 1000 * float(each)


def draw(lines: list[Values], path: Path) -> None:
    figure = new_figure(6.5, 8)
    *panels, last = figure.subplots(3, 2).flat
    base = 100 * next(line["core_share"] for line in lines if line["factor"] == "base")
    for axes, (factor, (name, label)) in zip(panels, COLUMNS.items(), strict=True):
        found = along(factor, lines)
        shares = [100 * line["core_share"] for line in found]
        scale = {"rate_hz": 1e-3, "overlap": 100}.get(factor, 1)
        axes.plot([line["point"][factor] * scale for line in found], shares, color=BLUE, marker="o", markersize=4)
        axes.axhline(base, color=GREY, linestyle=":", linewidth=1)
        axes.set(xlabel=label, ylabel="share of a core, %", ylim=(0, 1.1 * max(shares)), xlim=(0, None))
        by_windows = sorted(zip([line["windows_per_s"] for line in found], shares, strict=True))
        last.plot(*zip(*by_windows, strict=True), marker="o", markersize=3, label=name)
    last.axhline(100, color=MARKED, linestyle="--", linewidth=1)
    last.set(xlabel="windows in a second", ylabel="share of a core, %", xscale="log", yscale="log")
    last.legend(fontsize=SMALL)
    draw_grid(*figure.axes)
    save_picture(figure, path, PAGE_DPI)


def section(text: str, report: Values, head: list[str], rows: list[list[str]], *more: str) -> str:
    """Return a section: its text with its command, machine and date, the table, and what follows it."""
    return "\n\n".join([text, f"Measured on {machine(report['machine'])}.", table(head, rows), *more])


HEAD = """# The monitor's cost

`python benchmarks/monitor_tables.py --results docs/results --write docs/MONITOR.md` writes this page; edit nothing here
by hand. Each section names the command that measured it.

All sections measure `drsn-edge monitor` as a process of its own, with its settings as they are by default, and with
everything on except the view: alarms, history, every window as a line of JSON in a file, severity, and MQTT to a local
broker. The sensors are played by another process, whose time is not counted. A share of a core is processor time of all
threads of the monitor, in a second."""

COST = """## One fast sensor

`python benchmarks/monitor_cost.py --model adi.drsn --results docs/results/monitor_cost.json`

The sensor is an IIS3DWB on a 2 Mbaud line (26.7 kHz, 3 axes), the network `small`; windows of 1024 samples overlap by
half, 52 in a second. The line is a pseudo-terminal, which holds more bytes than a serial port and is read less often; a
second run read it as often as a serial port. The time from the last byte of a window to its line includes the slice of
200 ms in which windows are judged together (`--latency`)."""

PAIRS = """## Before and after slices

`python benchmarks/monitor_pairs.py --model adi.drsn --before FOLDER --results docs/results/monitor_pairs.json`

The same sensor, measured in alternation with an earlier commit, which judged every window by itself. Ratios are taken
within a round. The earlier monitor ran with OMP_NUM_THREADS=1, as in figures published before."""

REPLAY = """## Replay

`python benchmarks/replay_pairs.py --model cwru.drsn --data cwru/ --before FOLDER`, with `--results
docs/results/replay_pairs.json`

A log of 12 kHz and one axis with a script of faults, replayed with alarms, captures, history, lines and severity. Times
include the start of the process. Lines agree with those of the earlier commit if verdicts, labels and reasons are
equal, and numbers within 1e-5 or one printed digit. Lines of a live run and of the replay of its log must be equal
except for the time of writing."""

SENSORS = """## Several sensors in one process

`python benchmarks/sensors_per_core.py --model adi.drsn --results docs/results/sensors_per_core.json`

Sensors of 12.8 kHz and 3 axes. The column `limit` is the first limit that is passed: core (more than 90 % of a core),
late (the delay's 99 % beyond the slice and 50 ms, read every 20 ms), skipped (windows were not judged), held (a sensor
waited for its reader, where a serial port drops bytes), lost."""

SOAK = """## Sixteen sensors for ten minutes

`python benchmarks/sensors_per_core.py --model adi.drsn --sensors 16 --seconds 600`, with `--results
docs/results/sensors_soak.json`

The goal is at most 2 % of a core for each sensor of 12.8 kHz and 3 axes, and no sample lost."""

GROWTH = """## How the cost grows

`python benchmarks/monitor_growth.py --models growth-models/ --results docs/results/monitor_growth.jsonl`

One factor at a time, from one sensor of 6.7 kHz and 3 axes with windows of 1024 samples that overlap by half."""

GROWTH_PICTURE = (
    f"![Share of a core by sampling rate, axes, sensors, window and overlap]({PICTURE.as_posix()})\n\n"
    "Dotted: the base. Dashed: a whole core."
)

ENDS = """### Where one gateway ends, and what one does then

By the line through the numbers of sensors, the monitor takes {start} of a core without windows and {each_ms:.2f} ms for
each window of 3 axes. By this line one core carries {room:.0f} windows in a second, which are {sensors:.0f} sensors of
the base. All sensors of one process share one Python interpreter, so one process uses little more than one core,
however many cores the gateway has. When that core is full, delays grow first. Then windows are skipped and counted as
without a verdict, and at last samples are lost.

- Start a second `drsn-edge monitor` with other sensors: it uses another core of the gateway.
- Let windows overlap less. Without overlap there are half as many windows as with an overlap of half.
- Sample more slowly, if a model trained with `--rate` reaches the same accuracy, and use as few axes as it needs.
- Allow slices a longer time, with `--latency`, where a verdict may be later.
- Put another gateway beside the machine. Gateways know nothing of each other; a broker collects what they publish."""

SECTIONS: dict[str, Callable[[Any, Path], str]] = {
    "monitor_cost.json": cost,
    "monitor_pairs.json": pairs,
    "replay_pairs.json": replay,
    "sensors_per_core.json": sensors,
    "sensors_soak.json": soak,
    "monitor_growth.jsonl": growth,
}
"""By the file of the results folder."""


if __name__ == "__main__":
    main()
