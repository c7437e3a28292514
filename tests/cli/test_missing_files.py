"""A file that is not there: one sentence says so in words, and what to check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.gateway.rollout import read_members
from drsn_edge.monitor.stages.settings import read_settings
from drsn_edge.monitor.stages.severity_limits import read_limits

Run = Callable[..., Any]


@pytest.mark.parametrize(
    "command",
    [
        "monitor --sensors nix.toml",
        "keys trust nix.pub",
        "train --data nix --hold-out fraction=0.2 --out run",
    ],
)
def test_no_number_of_the_system_is_printed_and_what_to_check(
    run: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command.split())
    assert done.code == 1 and "nix" in done.err
    assert "Errno" not in done.err and "Check the path" in done.err
    assert done.err.count("nix") == 1


@pytest.mark.parametrize(
    "read",
    [lambda path: read_settings(path, ("calm",)), read_limits, read_members],
    ids=["settings", "limits", "fleet"],
)
def test_files_of_options_likewise(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(DrsnEdgeError) as missing:
        read(tmp_path / "nix.toml")
    assert "Errno" not in str(missing.value) and "Check the path" in str(missing.value)
