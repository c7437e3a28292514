"""What the tests of all packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real recordings, or skip the test where there is none."""
    folder = os.environ.get("DRSN_EDGE_TEST_DATA")
    if not folder:
        pytest.skip("DRSN_EDGE_TEST_DATA does not name the folder of real recordings")
    return Path(folder)
