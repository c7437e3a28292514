from __future__ import annotations

from typing import Any

import pytest

from drsn_edge.looking.names import Name, condition_of, fields_of, prefix_of, sequence_of, session_of


def name(path: str) -> Name:
    *folders, stem = path.split("/")
    return Name(tuple(folders), stem)


@pytest.mark.parametrize(
    ("path", "condition"),
    [
        ("pump1_outer_race", "outer_race"),
        ("healthy/17", "healthy"),
        ("session2/Healthy/3", "healthy"),
        ("2 - Three Outer Race Fault Conditions/OuterRaceFault_vload_1", "outer_race_fault"),
        ("imbalance/6g/13.9", "imbalance"),
        ("underhang/ball_fault/0g/1", "ball_fault"),
        ("B021_load1", "B021"),
        ("12k_Drive_End_OR007@6_0_130", "OR007@6"),
        ("chipped tooth 48kHz", "chipped_tooth"),
        ("fan_off_3", "off"),
        ("no_fault_1", "no_fault"),
        ("no_imbalance/fault_free", "fault_free"),
        ("no_imbalance/3", "no_imbalance"),
        ("non-faulty 2", "non_faulty"),
        ("outer_race_NoFault", "outer_race_no_fault"),
        ("no_visible_damage", "no_visible_damage"),
        ("not_ok", "not_ok"),
        ("un-damaged", "un_damaged"),
        ("fault_no_3", "fault"),
        ("no_load_fault", "fault"),
        ("healthy no load", "healthy"),
        ("35Hz12kN/Bearing1_1/1", None),
        ("2003.10.22.12.06.24", None),
        ("raw_data_x", None),
    ],
)
def test_words_for_conditions_are_found_in_the_nearest_name(path: str, condition: str | None) -> None:
    found = condition_of(name(path))
    assert (found and found.value) == condition


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("IR007_1797rpm", {"rpm": 1797}),
        ("35Hz12kN/Bearing1_1/1", {"load_kn": 12}),
        ("healthy 10k hours", {}),
        ("healthy 3k rpm", {"rpm": 3000}),
        ("20k_samples_healthy", {}),
        ("healthy_100Hz", {}),
        ("50Hz_lowpass", {}),
        ("lowpass 5kHz", {}),
        ("worn_4kSps", {"sample_rate_hz": 4000}),
        ("worn_100sps", {"sample_rate_hz": 100}),
        ("12k Drive End/x", {"sample_rate_hz": 12000}),
        ("rec_25.6kHz", {"sample_rate_hz": 25600}),
        ("rec_3200Hz_2hp", {"sample_rate_hz": 3200, "load_hp": 2}),
        ("2Nm_Normal", {"torque_nm": 2}),
        ("a_load1", {"load": 1}),
        ("block_3/file7", {}),
    ],
)
def test_rates_speeds_and_loads_are_read_from_names(path: str, fields: dict[str, Any]) -> None:
    assert {key: guess.value for key, guess in fields_of(name(path)).items()} == fields


def test_the_name_of_the_file_counts_more_than_its_folders() -> None:
    assert fields_of(name("1500rpm/run_1480rpm"))["rpm"].value == 1480
    assert fields_of(name("1500rpm/run"))["rpm"].why == "folder 1500rpm"


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("pump3_healthy", "pump3"),
        ("session2/healthy/1", "session2"),
        ("35Hz12kN/Bearing1_2/7", "Bearing1_2"),
        ("1st_test/2003.10.22.12.06.24", "1st_test"),
        ("healthy/1", None),
        ("impump3", None),
        ("motor 7.5kW healthy", None),
        ("motor 7 healthy", "motor 7"),
    ],
)
def test_machines_and_sessions_are_read_from_names(path: str, session: str | None) -> None:
    found = session_of(name(path))
    assert (found and found.value) == session


def test_first_words_leave_machines_and_speeds_out() -> None:
    found = prefix_of(name("fan2_low_1200rpm"))
    assert found is not None and found.value == "low"
    assert prefix_of(name("0001")) is None


def test_files_are_ordered_by_their_numbers() -> None:
    assert sequence_of("acc_00012") == (12,)
    assert sequence_of("2003.10.22.12.06.24") == (2003, 10, 22, 12, 6, 24)
    assert sequence_of("healthy") is None
