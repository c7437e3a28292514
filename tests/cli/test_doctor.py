"""`drsn-edge doctor` on this machine, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def test_it_says_what_it_finds_and_counts_it(run: Callable[..., Any]) -> None:
    done = run("doctor")
    assert done.code in (0, 1) and done.out.startswith("ok    python") and " ok, " in done.out.splitlines()[-1]
    findings = json.loads(run("doctor", "--json").out)["findings"]
    assert {"python", "interpreter", "disk", "bundle"} <= {finding["check"] for finding in findings}
    assert done.code == int(any(finding["level"] == "fail" for finding in findings))
