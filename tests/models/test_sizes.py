from __future__ import annotations

import pytest

from drsn_edge.models.config import BLOCK_KINDS, DrsnConfig, Stage
from drsn_edge.models.sizes import measure_model


@pytest.mark.parametrize("kind", BLOCK_KINDS)
def test_every_kind_of_block_becomes_wholly_int8(kind: str) -> None:
    """Measuring converts, and the conversion refuses whatever is not int8."""
    size = measure_model("tiny", DrsnConfig(64, 2, 3, 4, 5, 2, (Stage(4, 1, 1), Stage(8, 1, 2)), 3, kind))
    assert size.int8_bytes > size.parameters > 0
    assert size.peak_activation_bytes >= 32 * 4 + 64 * 2
    assert size.block == kind


def test_an_image_network_becomes_wholly_int8() -> None:
    config = DrsnConfig(12, 1, 10, 4, 3, 1, (Stage(4, 1, 2), Stage(8, 1, 1)), 3, hidden_ratio=0.25, height=12)
    assert measure_model("image", config).macs > 0
