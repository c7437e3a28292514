"""Measure processor time, memory and delays of the whole monitor with one fast sensor.

    python benchmarks/monitor_cost.py --model adi.drsn [--seconds 30] [--latency 20ms]

One process plays the stream of an IIS3DWB (26.7 kHz, 3 axes) to a pseudo-terminal in real time. `drsn-edge monitor`
runs as another process with everything on except the view: alarms, history, every window as a line of JSON in a file,
severity, MQTT to a local Mosquitto. The bundle keeps its network, but its contract gets the sensor's rate and windows
that overlap by half: the verdicts do not matter here. Cost and delays are those of one run: this process follows the
file of lines, looking every 2 ms.

A serial port holds fewer bytes than a pseudo-terminal and is read more often. A second run reads the pseudo-terminal as
often as a serial port: `as_serial_port` has its figures.

`core_share`: processor time of the monitor alone, all its threads, as a share of one core.
`beyond_window_ms`: time from the last byte of a window's last block on the wire to the line with its verdict.
`first_decision_s`: time from the start of the process to the first decision, without the length of its windows.
`sender_held_s`: longest time for which the sensor waited because its reader had left the pseudo-terminal full; a serial
port would have dropped bytes.
`wakeups_per_s`: how often one of its threads had waited and was woken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from decode import RATE_HZ
from machine import machine
from monitored import AS_SERIAL_PORT, Load, fitted, measure, seconds_of_stream
from wire_players import wire_of

from drsn_edge.support.durations import duration_s

DEFAULT_LATENCY_S = 0.2
HELD_S = 0.01
"""Longest time in seconds for which a sensor may wait for its reader; the planning of threads is as uneven."""


def bars(latency: str | None) -> dict[str, float]:
    """Return the figures that a quiet machine must reach."""
    slice_s = DEFAULT_LATENCY_S if latency is None else duration_s(latency)
    assert slice_s is not None, "The monitor has refused this latency."
    beyond_ms = 1000 * slice_s + 50
    return {"core_share": 0.04, "beyond_window_ms_p99": beyond_ms, "resident_mb": 80.0, "first_decision_s": 1.0}


def is_good(report: dict[str, Any]) -> bool:
    """Tell whether every figure reaches its bar, and nothing was lost."""
    lost = report["samples_lost"] + report["samples_not_received"] + report["windows_skipped"]
    return (
        lost == 0
        and report["sender_held_s"] <= HELD_S
        and all(report[name] <= bar for name, bar in report["bars"].items())
    )


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--latency", help="passed to the monitor")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bundle = fitted(given.model, RATE_HZ, Path(name))
        wire = wire_of(seconds_of_stream(given.seconds))
        load = Load(bundle, wire, seconds=given.seconds, latency=given.latency)
        found, as_serial = measure(load), measure(replace(load, program=AS_SERIAL_PORT))
    command = "benchmarks/monitor_cost.py"
    report = {
        "command": command,
        "machine": machine(),
        **found,
        "as_serial_port": {name: as_serial[name] for name in ("core_share", "wakeups_per_s", "beyond_window_ms_p99")},
        "bars": bars(given.latency),
    }
    print(json.dumps(report, indent=1))
    if given.results:
        given.results.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
