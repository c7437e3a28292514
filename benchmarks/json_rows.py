"""JSON of large results: a line for each value of the upper two levels, so that files are small and changes show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def json_rows(values: Mapping[str, Any]) -> str:
    """Return the values as JSON, one line for each entry, and for each entry of an entry."""
    rows = []
    for name, value in values.items():
        if isinstance(value, list):
            inner = ",\n".join(f"  {json.dumps(each)}" for each in value)
            rows.append(f" {json.dumps(name)}: [\n{inner}\n ]")
        elif isinstance(value, Mapping):
            inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items())
            rows.append(f" {json.dumps(name)}: {{\n{inner}\n }}")
        else:
            rows.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(rows) + "\n}\n"
