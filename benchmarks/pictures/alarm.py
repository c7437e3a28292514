"""Draw how the demo's windows become an alarm: evidence, limits, delays.

    drsn-edge demo --speed 0
    python benchmarks/pictures/alarm.py --model drsn-edge-demo/demo.drsn --write docs/pictures/alarm.png

The picture of docs/explanation/false-alarms.md. The windows are those that the monitor judged, and the alarms those of
the monitor's own stages.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.demo.run import PHASES, DemoResult, watch, windows_of
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings, AlarmStates, Evidence, alarm_names
from drsn_edge.monitor.stages.results import Alarm, AlarmState
from drsn_edge.support.palette import colours_of
from drsn_edge.support.pictures import GREY, PAGE_DPI, SMALL, draw_grid, new_figure, save_picture

SETTINGS = AlarmSettings(
    normal=(PHASES[0],), windows=5, limits=AlarmLimits(on=0.7, off=0.4, on_delay_s=2.0, off_delay_s=3.0)
)
SHOWN = PHASES[1:]


def judged(found: DemoResult, labels: tuple[str, ...], hop_s: float) -> tuple[Any, list[Alarm]]:
    """Return times and evidence of each alarm that is drawn, shape (windows, 1 + alarms), and what the alarms did."""
    evidence, states = Evidence(SETTINGS, labels, hop_s), AlarmStates(SETTINGS, labels, hop_s)
    names = alarm_names(SETTINGS, labels)
    rows, alarms = [], []
    for window in windows_of(found):
        values = evidence.add(window)
        if values is None:
            continue
        alarms += states.add(window, values)
        rows.append([window.device_time_s + found.window_s, *(values[names.index(name)] for name in SHOWN)])
    return np.array(rows), alarms


def draw(found: DemoResult, rows: Any, alarms: list[Alarm], path: Path) -> None:
    figure = new_figure(6.5, 5.5)
    colours = colours_of(PHASES)
    panels = figure.subplots(len(SHOWN), 1, sharex=True)
    for number, (axes, name) in enumerate(zip(panels, SHOWN, strict=True), start=1):
        draw_alarm(axes, rows[:, 0], rows[:, number], [each for each in alarms if each.name == name], found)
        axes.lines[0].set_color(colours[name])
        axes.set(title=f"Alarm {name}", ylabel="evidence, 0 to 1", ylim=(-0.05, 1.3), yticks=np.linspace(0, 1, 6))
        phase = next(each for each in found.phases if each.label == name)
        axes.axvspan(phase.start_s, phase.end_s, color=colours[name], alpha=0.12)
        axes.text(phase.start_s + 0.1, 1.14, f"simulated: {name}", fontsize=SMALL)
    panels[-1].set(xlabel="device time, s", xlim=(0, found.phases[-1].end_s))
    draw_grid(*panels)
    save_picture(figure, path, PAGE_DPI)


def draw_alarm(axes: Any, times: Any, evidence: Any, alarms: list[Alarm], found: DemoResult) -> None:
    axes.plot(times, evidence, linewidth=2)
    limits = SETTINGS.limits
    for name, value in (("on", limits.on), ("off", limits.off)):
        axes.axhline(value, color=GREY, linestyle="--", linewidth=1)
        axes.text(0.1, value + 0.02, f"{name} = {value:g}", fontsize=SMALL)
    at = {each.state: each.device_time_s + found.window_s for each in alarms}
    begins, ends = at.get(AlarmState.RAISED), at.get(AlarmState.CLEARED, times[-1])
    if begins is None:
        return
    axes.plot([begins, ends], [1.06, 1.06], color="black", linewidth=4, solid_capstyle="butt")
    axes.text(begins, 0.88, "raised", fontsize=SMALL)
    if AlarmState.CLEARED in at:
        axes.text(ends + 0.1, 1.03, "cleared", fontsize=SMALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle of the demo")
    parser.add_argument("--write", type=Path, required=True, help="PNG")
    arguments = parser.parse_args()
    bundle = read_bundle(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        found = watch(bundle, 0, Path(folder) / "sensor", lambda _: None, speed=None)
    rows, alarms = judged(found, bundle.manifest.labels, bundle.manifest.contract.hop_s)
    for each in alarms:
        print(f"{each.device_time_s + found.window_s:.2f} s: {each.name} {each.state.value}")
    draw(found, rows, alarms, arguments.write)


if __name__ == "__main__":
    main()
