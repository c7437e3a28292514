"""Plain values as one line of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(values: Any) -> str:
    """Return plain values as JSON without a line break; NaN and infinity, which JSON lacks, become null."""
    try:
        return json.dumps(values, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(values), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
