"""One JSON object per line, for machines."""

from __future__ import annotations

import json
from typing import TextIO

from drsn_edge.monitor.results import Result, to_json


class JsonLinesSink:
    """Writes every result as one line and flushes, so that a pipe sees it at once."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def take(self, result: Result) -> None:
        """Write one result."""
        self._stream.write(json.dumps(to_json(result)) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing waits."""
