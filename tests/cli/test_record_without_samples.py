"""`record` and `monitor` of what sends no samples, or none that can be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("command", [("record", "--out", "logs"), ("monitor", "--model", "m")])
def test_a_unit_that_nothing_converts_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command, "--port", "p", "--text-unit", "furlong", "--text-range", "2")
    assert done.code == 2 and all(word in done.err for word in ("--text-unit", "furlong", "g, mg, m/s2"))
    assert not [*tmp_path.iterdir()]
