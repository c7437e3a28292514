"""The machine of a measurement."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

_FEATURES = ("avx512_vnni", "avx_vnni", "avx2", "asimddp", "asimd")
"""Features of a processor by which int8 kernels are chosen; the first one that it has is named."""


def machine() -> dict[str, str]:
    """Return the processor, Python, LiteRT and the day."""
    said = Path("/proc/cpuinfo").read_text()
    lines = dict(line.split(":", 1) for line in said.replace("\t", "").splitlines() if ":" in line)
    features = (lines.get("flags") or lines.get("Features") or "").split()
    feature = next((name for name in _FEATURES if name in features), "no vector unit known here")
    return {
        "processor": f"{lines.get('model name', platform.machine()).strip()} ({feature}), {os.cpu_count()} cores",
        "python": platform.python_version(),
        "litert": version("ai-edge-litert"),
        "date": datetime.date.today().isoformat(),
    }
