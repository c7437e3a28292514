from __future__ import annotations

from pathlib import Path

import pytest

from drsn_edge.models.config import BLOCK_KINDS, PRESETS, DrsnConfig, Stage
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


def test_the_page_shows_the_sizes_of_today() -> None:
    """The bytes of a file vary a little between processors, because weights of equal bits are stored once."""
    page = (Path(__file__).parents[2] / "docs/reference/commands/models.md").read_text(encoding="utf-8")
    shown = next(line.split() for line in page.splitlines() if line.startswith("nano "))
    size = measure_model("nano", PRESETS["nano"])
    assert shown[:5] == ["nano", size.block, str(size.window), str(size.parameters), str(size.macs)]
    assert float(shown[5]) * 1000 == pytest.approx(size.int8_bytes, rel=0.01)
    assert float(shown[7]) * 1000 == pytest.approx(size.peak_activation_bytes, rel=0.01)
