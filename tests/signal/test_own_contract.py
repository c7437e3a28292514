from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.signal.contract import contract_from_json, contract_to_json
from drsn_edge.signal.own_contract import FEWEST_SAMPLES, LONGEST_S, MOST_SAMPLES, SHORTEST_S, own_contract, window_for


@pytest.mark.parametrize(
    ("rate_hz", "window"),
    [(10, 64), (400, 256), (1000, 512), (1024, 1024), (1600, 1024), (3200, 1024), (6400, 2048), (12_000, 4096),
     (12_800, 4096), (48_000, 16_384), (1e7, 65_536)],
)  # fmt: skip
def test_a_window_lasts_a_quarter_of_a_second_to_a_second(rate_hz: float, window: int) -> None:
    assert window_for(rate_hz) == window


@given(st.floats(0.01, 1e7))
def test_it_is_a_power_of_two_within_its_bounds(rate_hz: float) -> None:
    window = window_for(rate_hz)
    assert window.bit_count() == 1 and FEWEST_SAMPLES <= window <= MOST_SAMPLES
    if FEWEST_SAMPLES < window < MOST_SAMPLES:
        assert SHORTEST_S <= window / rate_hz <= LONGEST_S


def test_the_contract_is_valid_and_has_the_sensors_own_form() -> None:
    contract = own_contract(3200.0, ("x", "z"), "m/s2")
    assert contract_from_json(contract_to_json(contract)) == contract
    assert (contract.axes, contract.unit, contract.window, contract.hop) == (("x", "z"), "m/s2", 1024, 512)
