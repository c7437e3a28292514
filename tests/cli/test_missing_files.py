"""A file that is not there: one sentence says so in words, and what to check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    "command",
    [
        "monitor --sensors nix.toml",
        "keys trust nix.pub",
        "train --data nix --hold-out fraction=0.2 --out run",
        "flash nix.drsn --fleet nix.toml",
    ],
)
def test_no_number_of_the_system_is_printed_and_what_to_check(
    run: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command.split())
    assert done.code == 1 and "nix" in done.err
    assert "Errno" not in done.err and ("Check the path" in done.err or "Make one with" in done.err)
    assert done.err.count("nix") == 1
