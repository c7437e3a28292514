"""The protocols: networks and baselines, splits, and noise. After a change to a protocol, its jobs run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drsn_edge.evaluation.classical import BASELINES
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition
from drsn_edge.reproduce.jobs import Job, as_settings

WHITE_0_DB, WHITE_MINUS_4_DB = NoiseCondition("gaussian", 0.0), NoiseCondition("gaussian", -4.0)

PAPER_KINDS = ("gaussian", "laplacian", "pink")
PAPER_SNRS_DB = (-5.0, 0.0, 5.0)
PAPER_MODELS = ("rsbu-cw", "residual")

ADI, CWRU = "adi_mfs_mems", "cwru"
SPEEDS_RPM = (600, 1200, 1800, 3000)
LOADS_LB = (0, 11)
LOADS_HP = (0, 1, 2, 3)
FAULT_SIZES_IN = (0.007, 0.014, 0.021)

_WAVEFORM = {"network": "small", "window": 1024, "hop": 512}
_SPECTRA = {"network": "spectral", "inputs": "spectra", "scaling": "fixed", "style_mix": 0.5}
_ADI_SPECTRA = {
    **_SPECTRA,
    "window": 16384,
    "hop": 1024,
    "epochs": 24,
    "redraw_every": 3,
    "speed_range": 0.0,
    "clean_share": 0.45,
}
_ADI_TEST_HOP = 2048
_CWRU_TEST_HOP = 4096


def _jobs(
    protocol: str,
    data: str,
    hold_outs: tuple[str, ...],
    seeds: int,
    settings: Mapping[str, Any],
    conditions: tuple[NoiseCondition, ...],
    test_hop: int = 0,
) -> list[Job]:
    """Return the jobs of the network seed by seed, then the jobs of baselines and other blocks for the first seed."""
    runs = [("rsbu-cw", seed) for seed in range(seeds)] + [(model, 0) for model in (*BASELINES, "residual", "plain")]
    return [
        Job(protocol, data, model, hold_out, seed, as_settings(settings), conditions, test_hop)
        for model, seed in runs
        for hold_out in hold_outs
    ]


@dataclass(frozen=True)
class Protocol:
    """A list of jobs, with the text that explains its table.

    Attributes:
        name: Name in the results file.
        suite: Suite that runs it, as in `drsn-edge reproduce SUITE`.
        title: Heading of the table.
        text: What is compared, and what limits the comparison.
        jobs: Function from the number of seeds to the jobs.
        is_judged_by_f1: Whether the table shows macro-F1 instead of accuracy.
    """

    name: str
    suite: str
    title: str
    text: str
    jobs: Callable[[int], list[Job]]
    is_judged_by_f1: bool = False


def paper(seeds: int) -> list[Job]:
    """Return the jobs of the paper's protocol on a public set: equal noise in training and test, one split by time."""
    same_size = {**_WAVEFORM, "epochs": 20, "clean_share": 0.0, "speed_range": 0.0}
    return [
        Job("paper", ADI, model, "time=0.35", seed, as_settings({**same_size, **noise}), (condition,))
        for seed in range(seeds)
        for condition in (NoiseCondition(kind, snr_db) for kind in PAPER_KINDS for snr_db in PAPER_SNRS_DB)
        for noise in ({"noise": (condition.kind,), "snr_range_db": (condition.snr_db, condition.snr_db)},)
        for model in PAPER_MODELS
    ]


def adi_speed(seeds: int) -> list[Job]:
    """Return the jobs for motor faults at a speed without training data: resonances tell most, and do not move."""
    hold_outs = tuple(f"rpm={rpm}" for rpm in SPEEDS_RPM)
    chosen = {"network": "spectral-dense", "view_weights": (4.0, 1.0, 1.0), "discriminants": 0.1, "validation": False}
    settings = {**_ADI_SPECTRA, **chosen}
    return _jobs("adi_speed", ADI, hold_outs, seeds, settings, (CLEAN, WHITE_0_DB), _ADI_TEST_HOP)


def adi_load(seeds: int) -> list[Job]:
    """Return the jobs for motor faults at a load without training data: resonances move, shaft orders do not."""
    hold_outs = tuple(f"load_lb={load}" for load in LOADS_LB)
    settings = {**_ADI_SPECTRA, "view_weights": (1.0, 4.0, 4.0)}
    return _jobs("adi_load", ADI, hold_outs, seeds, settings, (CLEAN, WHITE_0_DB), _ADI_TEST_HOP)


def cwru_load(seeds: int) -> list[Job]:
    """Return the jobs for bearing faults at a load without training data; one seed, as the task is easy."""
    hold_outs = tuple(f"load_hp={load}" for load in LOADS_HP)
    settings = {**_SPECTRA, "inputs": "bands", "window": 8192, "hop": 1024, "epochs": 16}
    conditions = (CLEAN, WHITE_0_DB, WHITE_MINUS_4_DB)
    return _jobs("cwru_load", CWRU, hold_outs, min(seeds, 1), settings, conditions, _CWRU_TEST_HOP)


def cwru_bearing(seeds: int) -> list[Job]:
    """Return the jobs for bearings without training data: one fault size is left out; healthy is split by time."""
    hold_outs = tuple(f"fault_size_in={size},time=0.5" for size in FAULT_SIZES_IN)
    settings = {**_SPECTRA, "label_field": "fault", "window": 8192, "hop": 2048, "epochs": 16}
    return _jobs("cwru_bearing", CWRU, hold_outs, seeds, settings, (CLEAN, WHITE_0_DB), _CWRU_TEST_HOP)


PROTOCOLS = (
    Protocol(
        "paper",
        "paper",
        "The paper's protocol on the motor-fault set",
        "13 classes, 3 axes, windows of 1024 samples as recorded (no spectra). Both networks are `small` and differ in "
        "the block only. Training and test have the same kind of noise at the same signal-to-noise ratio (SNR); each "
        "training window gets new noise in every epoch. The test is the last 35 % of each recording: the same "
        "recordings are on both sides, as in the paper, which shuffled windows.",
        paper,
    ),
    Protocol(
        "adi_speed",
        "splits",
        "Motor faults, one speed left out",
        "13 classes, 3 axes, windows of 16384 samples. The inputs of `rsbu-cw`, `residual` and `plain` are log spectra "
        "in three branches (bands, shaft orders, envelopes; weights 4, 1, 1; network `spectral-dense`), each with its "
        "own linear discriminant (weight 0.1). The inputs of `lda` are 48 log-band energies per axis, those of "
        "`forest` the envelope spectrum. All models are trained on the same windows, 45 % of them as recorded and the "
        "others with noise of four kinds. Network and weights were chosen by the results on these folds.",
        adi_speed,
    ),
    Protocol(
        "adi_load",
        "splits",
        "Motor faults, one load left out",
        'Inputs and windows as for "Motor faults, one speed left out", with the network `spectral` and weights 1, 4, '
        "4: a load moves the resonances, but not the multiples of the shaft speed. The weights were chosen by the "
        "results on these folds.",
        adi_load,
    ),
    Protocol(
        "cwru_load",
        "splits",
        "CWRU bearings, one load left out",
        "10 classes, windows of 8192 samples, network `spectral` on log band powers. The same bearings are on both "
        "sides, and only one of them is healthy: the figures show that the chain works, not how accurate it is on "
        "another bearing.",
        cwru_load,
    ),
    Protocol(
        "cwru_bearing",
        "splits",
        "CWRU bearings, one fault size left out",
        "4 classes, windows of 8192 samples, network `spectral` on all three views, one fault size left out. The only "
        "healthy bearing is split by time, so that its class leaks and its recall means nothing. The scores are "
        "macro-F1, like the published figures.",
        cwru_bearing,
        is_judged_by_f1=True,
    ),
)


def suite_jobs(suite: str, seeds: int) -> list[Job]:
    """Return the jobs of all protocols of a suite, in the order in which they are run."""
    return [job for protocol in PROTOCOLS if protocol.suite == suite for job in protocol.jobs(seeds)]
