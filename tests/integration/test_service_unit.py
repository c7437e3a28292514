"""systemd's own judgement on the unit."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from drsn_edge.gateway.systemd_host import Host, ProgramOutput
from drsn_edge.gateway.systemd_unit import install, unit_text

pytestmark = pytest.mark.integration


def test_systemd_takes_the_unit_and_calls_it_well_protected(need: Callable[..., None], tmp_path: Path) -> None:
    need("systemd-analyze")
    arguments = ("--port", "/dev/ttyUSB*", "--model", "/etc/my pumps/100%.drsn", "--machine", 'the "big" $one')
    path = install("pump3", unit_text("pump3", arguments, "1.0"), tmp_path)
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", path], capture_output=True, text=True, timeout=60
    )
    level = re.search(r"exposure level for \S+: ([0-9.]+)", rated.stdout)
    assert level is not None and float(level[1]) <= 2.5, rated.stdout[-500:]


def test_systemd_makes_the_user_that_the_unit_names(need: Callable[..., None], tmp_path: Path) -> None:
    need("systemd-sysusers")
    (tmp_path / "etc/sysusers.d").mkdir(parents=True)
    asked: list[Sequence[str]] = []
    made = Host(
        tmp_path, lambda command: asked.append(command) or ProgramOutput(0, ""), lambda name: bool(asked)
    ).make_user()
    config = asked[0][1]
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", config], capture_output=True, text=True, timeout=60
    )
    assert (made, done.returncode) == (True, 0), done.stderr
    users, groups = (tmp_path / "etc/passwd").read_text(), (tmp_path / "etc/group").read_text()
    assert re.search(r"^drsn-edge:x:\d+:\d+:drsn-edge monitor:/var/lib/drsn-edge:.*nologin$", users, re.MULTILINE)
    assert groups.startswith("drsn-edge:x:")
