"""The versions that decide the figures of a job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from drsn_edge import __version__

_PACKAGES = ("ai-edge-litert", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of drsn-edge and of the packages that decide the figures; "none": not installed."""
    return {"drsn-edge": __version__, **{name: _version(name) for name in _PACKAGES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
