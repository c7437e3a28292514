"""Measure how many sensors of 12.8 kHz and 3 axes one monitor can watch, and what gives first.

    python benchmarks/sensors_per_core.py --model adi.drsn --results docs/results/sensors_per_core.json
    python benchmarks/sensors_per_core.py --model adi.drsn --sensors 16 --seconds 600 --results soak.json

One process plays the same stream to all pseudo-terminals. One `drsn-edge monitor` reads them all, with everything on as
in `benchmarks/monitor_cost.py`. This process looks into the sensors' files of lines every 20 ms.

`first_limit` is the first limit that a number of sensors passes: none, core (more than 90 % of a core), late (p99 of
the delays more than the slice and 50 ms), skipped (windows were not judged), held (a sensor waited for its reader,
where a serial port drops bytes) or lost (samples were).

The exit code is 0 only if nothing was lost or skipped with up to 16 sensors, each at 2 % of a core at most with 16.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import machine
from monitor_cost import HELD_S, bars
from monitored import Load, fitted, measure, seconds_of_stream
from wire_players import Wire, wire_of

RATE_HZ = 12_800
EVERY_S = 0.01
LOOK_S = 0.02
BARS = {"sensors": 16, "core_share_each": 0.02}
CORE = 0.9


def load_of(bundle: Any, wire: Wire, sensors: int, seconds: float, latency: str | None) -> Load:
    """Return the load of several sensors; their writes and the looks at their lines are gathered."""
    return Load(bundle, wire, sensors, seconds, latency, every_s=EVERY_S, look_s=LOOK_S)


def first_limit(found: dict[str, Any], latency: str | None) -> str:
    """Name the first limit that a measurement passed, the worst first."""
    passed = {
        "lost": found["samples_lost"] + found["samples_not_received"] > 0,
        "held": found["sender_held_s"] > HELD_S,
        "skipped": found["windows_skipped"] > 0,
        "late": (found["beyond_window_ms_p99"] or 1e9) > bars(latency)["beyond_window_ms_p99"] + 1000 * LOOK_S,
        "core": found["core_share"] > CORE,
    }
    return next((name for name, is_passed in passed.items() if is_passed), "none")


def is_good(found: dict[str, Any]) -> bool:
    """Tell whether a measurement reaches its bars; those beyond 16 sensors have none."""
    if found["sensors"] > BARS["sensors"]:
        return True
    whole = found["first_limit"] not in ("lost", "held", "skipped")
    return whole and (found["sensors"] < BARS["sensors"] or found["core_share_each"] <= BARS["core_share_each"])


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sensors", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--longest", type=float, help="length for the largest number of sensors  [default: --seconds]")
    parser.add_argument("--latency", help="passed to the monitor")
    parser.add_argument("--results", type=Path, required=True)
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        bundle = fitted(given.model, RATE_HZ, Path(name))
        for number in given.sensors:
            seconds = given.longest if given.longest and number == max(given.sensors) else given.seconds
            wire = wire_of(seconds_of_stream(seconds, number), RATE_HZ)
            one = measure(load_of(bundle, wire, number, seconds, given.latency))
            found.append({**one, "first_limit": first_limit(one, given.latency)})
            print(json.dumps(found[-1]), file=sys.stderr)
    command = "benchmarks/sensors_per_core.py"
    report = {"command": command, "machine": machine(), "rate_hz": RATE_HZ, "bars": BARS, "found": found}
    given.results.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0 if all(map(is_good, found)) else 1


if __name__ == "__main__":
    sys.exit(main())
