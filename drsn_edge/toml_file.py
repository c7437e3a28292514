"""TOML on every Python that the project runs on: tomllib came with 3.11."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(text: str) -> dict[str, Any]:
    """Return the document as plain Python values.

    Raises:
        ValueError: If the text is no TOML, is nested too deeply or holds a number that is too long.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise ValueError("too many nested brackets") from exc
