from __future__ import annotations

from typing import Any

import pytest

from firmware_bridge.sources import registry
from firmware_bridge.sources.choice import FRAMES, TEXT, SourceChoice, Wiring
from firmware_bridge.sources.serial_port import DEFAULT_BAUD_RATE, SerialSource
from firmware_bridge.sources.text import TextSource
from firmware_bridge.wire.text_lines import TextLayout

LAYOUT = TextLayout("g", 2.0)
WIRING = Wiring(stop=lambda: True)


@pytest.mark.parametrize(
    ("choice", "kind", "baud_rate"),
    [
        (SourceChoice("/dev/ttyUSB7"), SerialSource, DEFAULT_BAUD_RATE),
        (SourceChoice("socket://10.0.0.7:5555", 500_000), SerialSource, 500_000),
        (SourceChoice("/dev/ttyUSB7", text=LAYOUT), TextSource, 115_200),
    ],
)
def test_a_choice_is_opened_by_what_it_says(choice: SourceChoice, kind: type[Any], baud_rate: int) -> None:
    source: Any = registry.open_source(choice, WIRING)
    assert isinstance(source, kind)
    assert (source.port, source._link.baud_rate) == (choice.port, baud_rate)


def test_a_line_in_the_registry_is_all_that_a_new_source_needs() -> None:
    opened: list[tuple[SourceChoice, Wiring]] = []

    def open_modbus(choice: SourceChoice, wiring: Wiring) -> Any:
        opened.append((choice, wiring))
        return "the source"

    sources = {**registry.SOURCES, "modbus": open_modbus}
    choice = SourceChoice("modbus://10.0.0.7/3")
    assert registry.open_source(choice, WIRING, sources) == "the source" and opened == [(choice, WIRING)]
    assert isinstance(registry.open_source(SourceChoice("/dev/modbus"), WIRING, sources), SerialSource)


def test_no_port_can_ask_for_a_kind_that_it_does_not_name() -> None:
    assert set(registry.SOURCES) == {FRAMES, TEXT}
    for kind in registry.SOURCES:
        assert " " in kind  # which no scheme has
