"""kill -9 at random moments: the history is readable, and at most the last second is missing.

`DRSN_EDGE_KILLS` is how often; `make proof` takes 200.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("DRSN_EDGE_KILLS", "10"))
PER_S = 200
"""Windows a second; every tenth is a decision as well."""

CHILD = f"""
import sys, time
from pathlib import Path
from drsn_edge.monitor.stages.results import Decision, Verdict, WindowResult
from drsn_edge.monitor.sinks.history import HistorySink
sink = HistorySink(Path(sys.argv[1]), "pump")
window = WindowResult(0, 0.0, Verdict.CLASS, "calm", {{"calm": 1.0}}, None, 0)
for number in range(10**9):
    sink.take(window)
    if number % 10 == 0:
        sink.take(Decision(window, float(number)))
    sink.flush()
    print(number, flush=True)
    time.sleep(1 / {PER_S})
"""


def test_killed_at_random_moments(tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "history"
    taken = decided = 0
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "0\n"
        time.sleep(rng.uniform(0, 1.5))
        child.kill()
        number = int(["0", *child.stdout.read().split()][-1])
        child.wait()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (decisions,) = connection.execute("SELECT count(*) FROM decisions").fetchone()
        (windows,) = connection.execute("SELECT total(windows) FROM minutes").fetchone()
        connection.close()
        # What it was just doing when it was killed may be there or not.
        assert decided + number // 10 + 1 <= decisions <= decided + number // 10 + 2
        assert taken + number + 1 - 1.1 * PER_S <= windows <= taken + number + 2
        taken, decided = windows, decisions
