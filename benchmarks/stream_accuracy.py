"""Measure the accuracy of `drsn-edge monitor` on recordings streamed by `drsn-edge simulate`, and count all samples.

Both commands run as processes of their own, joined by a pseudo-terminal and pyserial, one recording after another:

    python benchmarks/stream_accuracy.py --data DIR --model cwru.drsn --only load_hp=3 --speed 20 --snr-db 0

Exit code 0 only if sent = received and nothing was lost for every recording, and the accuracy reaches --at-least.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording

TIMEOUT_S = 300.0
COMMAND = (sys.executable, "-m", "drsn_edge.cli.main")


@dataclass(frozen=True)
class Stream:
    """What one streamed recording gave: windows per label as said, and both ends' accounts of samples."""

    name: str
    label: str
    said: Counter[str]
    sent: int
    received: int
    lost: int

    @property
    def windows(self) -> int:
        return sum(self.said.values())

    @property
    def right(self) -> int:
        return self.said[self.label]


def main() -> int:
    arguments = parse_arguments()
    name, _, value = arguments.only.partition("=")
    chosen = [r for r in load_recordings(arguments.data) if not name or str(r.fields.get(name)) == value]
    streams = [stream(arguments, recording) for recording in chosen[:: arguments.every]]
    report = summarise(streams, arguments)
    print(json.dumps(report) if arguments.json else as_text(report, streams))
    accounted = all(s.sent == s.received and s.lost == 0 for s in streams)
    return 0 if streams and accounted and report["accuracy"] >= arguments.at_least else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--model", type=Path, required=True, help="bundle")
    parser.add_argument("--only", default="", metavar="FIELD=VALUE", help="stream only these recordings")
    parser.add_argument("--every", type=int, default=1, help="stream every n-th recording (default: 1)")
    parser.add_argument("--speed", type=float, default=20.0, help="speed as a multiple of real time (default: 20)")
    parser.add_argument(
        "--snr-db", type=float, help="signal-to-noise ratio of added white noise, in dB (default: no noise)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default: 0)")
    parser.add_argument(
        "--at-least", type=float, default=0.0, help="lowest accuracy for exit code 0, 0 to 1 (default: 0)"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def stream(arguments: argparse.Namespace, recording: Recording) -> Stream:
    """Play one recording and monitor it."""
    file = next(arguments.data.glob(f"{recording.name}.*"))
    noise = [] if arguments.snr_db is None else ["--snr-db", str(arguments.snr_db), "--seed", str(arguments.seed)]
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "sensor"
        play = ["simulate", "--recording", str(file), "--link", str(link), "--speed", str(arguments.speed), "--json"]
        with subprocess.Popen(
            [*COMMAND, *play, *noise], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as simulator:
            wait_for(link, simulator)
            judge = ["monitor", "--port", str(link), "--model", str(arguments.model), "--json"]
            said = subprocess.run([*COMMAND, *judge], stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S).stdout
            played, _ = simulator.communicate(timeout=TIMEOUT_S)
    lines = [json.loads(line) for line in said.splitlines()]
    counts = Counter(line["label"] or line["verdict"] for line in lines if line["type"] == "window")
    summary = lines[-1]
    sent = json.loads(played)["samples_sent"]
    return Stream(
        recording.name, recording.label or "", counts, sent, summary["samples_received"], summary["samples_lost"]
    )


def wait_for(link: Path, simulator: subprocess.Popen[bytes]) -> None:
    """Wait until the simulator has made its port."""
    deadline = time.monotonic() + 30
    while not link.exists():
        if simulator.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"The simulator created no port at {link}.")
        time.sleep(0.02)


def summarise(streams: list[Stream], arguments: argparse.Namespace) -> dict[str, Any]:
    windows = sum(s.windows for s in streams)
    return {
        "recordings": len(streams),
        "speed": arguments.speed,
        "snr_db": arguments.snr_db,
        "windows": windows,
        "accuracy": sum(s.right for s in streams) / max(windows, 1),
        "samples_sent": sum(s.sent for s in streams),
        "samples_received": sum(s.received for s in streams),
        "samples_lost": sum(s.lost for s in streams),
    }


def as_text(report: dict[str, Any], streams: list[Stream]) -> str:
    rows = [
        f"{s.name:16} {s.right:4} of {s.windows:4} windows right, {s.sent} sent, {s.received} received" for s in streams
    ]
    return "\n".join([*rows, *(f"{key:18}{value}" for key, value in report.items())])


if __name__ == "__main__":
    sys.exit(main())
