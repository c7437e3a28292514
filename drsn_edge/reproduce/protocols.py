"""The protocols: networks and baselines, splits, and noise. Where one is changed, its jobs run anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drsn_edge.baselines import BASELINES
from drsn_edge.reproduce.jobs import Condition, Job, as_settings

CLEAN = Condition()
WHITE_0_DB, WHITE_MINUS_4_DB = Condition("gaussian", 0.0), Condition("gaussian", -4.0)

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
_ADI_SPECTRA = {**_SPECTRA, "window": 16384, "hop": 1024, "epochs": 24, "redraw_every": 3}
_ADI_TEST_HOP = 2048


def _jobs(
    protocol: str,
    data: str,
    models: tuple[str, ...],
    hold_outs: tuple[str, ...],
    seeds: int,
    settings: Mapping[str, Any],
    conditions: tuple[Condition, ...],
    test_hop: int = 0,
) -> list[Job]:
    """Return the jobs of a protocol, seed by seed, so that a sweep that is stopped has whole comparisons."""
    return [
        Job(protocol, data, model, hold_out, seed, as_settings(settings), conditions, test_hop)
        for seed in range(seeds)
        for hold_out in hold_outs
        for model in models
        if seed == 0 or model not in BASELINES or model == "forest"  # linear discriminants draw nothing at random
    ]


def paper(seeds: int) -> list[Job]:
    """The paper's protocol scaled to a public set: the same noise and SNR in training and test, one split by time."""
    return [
        job
        for seed in range(seeds)
        for kind in PAPER_KINDS
        for snr_db in PAPER_SNRS_DB
        for job in _jobs(
            "paper",
            ADI,
            PAPER_MODELS,
            ("time=0.35",),
            seeds,
            {
                **_WAVEFORM,
                "epochs": 20,
                "noise": (kind,),
                "snr_range_db": (snr_db, snr_db),
                "clean_share": 0.0,
                "speed_range": 0.0,
            },
            (Condition(kind, snr_db),),
        )
        if job.seed == seed
    ]


def splits(seeds: int) -> list[Job]:
    """Whole speeds, loads and bearings left out."""
    return [*adi_speed(seeds), *adi_load(seeds), *cwru_load(1), *cwru_bearing(seeds)]


def adi_speed(seeds: int) -> list[Job]:
    """Motor faults at a speed that training never saw: resonances tell most, and stay where they are."""
    hold_outs = tuple(f"rpm={rpm}" for rpm in SPEEDS_RPM)
    settings = {**_ADI_SPECTRA, "view_weights": (4.0, 1.0, 1.0)}
    return _jobs(
        "adi_speed", ADI, ("rsbu-cw", "lda", "forest"), hold_outs, seeds, settings, (CLEAN, WHITE_0_DB), _ADI_TEST_HOP
    )


def adi_load(seeds: int) -> list[Job]:
    """Motor faults at a load that training never saw: resonances move, shaft orders do not."""
    hold_outs = tuple(f"load_lb={load}" for load in LOADS_LB)
    settings = {**_ADI_SPECTRA, "view_weights": (1.0, 4.0, 4.0)}
    return _jobs(
        "adi_load", ADI, ("rsbu-cw", "lda", "forest"), hold_outs, seeds, settings, (CLEAN, WHITE_0_DB), _ADI_TEST_HOP
    )


def cwru_load(seeds: int) -> list[Job]:
    """Bearing faults at a load that training never saw; the same bearings on both sides."""
    hold_outs = tuple(f"load_hp={load}" for load in LOADS_HP)
    settings = {**_SPECTRA, "inputs": "bands", "window": 4096, "hop": 1024, "epochs": 16}
    conditions = (CLEAN, WHITE_0_DB, WHITE_MINUS_4_DB)
    return _jobs("cwru_load", CWRU, ("rsbu-cw", "lda", "forest"), hold_outs, seeds, settings, conditions)


def cwru_bearing(seeds: int) -> list[Job]:
    """Bearings that training never saw: one fault size left out, four classes; the healthy bearing split by time."""
    hold_outs = tuple(f"fault_size_in={size},time=0.5" for size in FAULT_SIZES_IN)
    settings = {**_SPECTRA, "label_field": "fault", "window": 8192, "hop": 2048, "epochs": 16}
    return _jobs("cwru_bearing", CWRU, ("rsbu-cw", "forest", "lda"), hold_outs, seeds, settings, (CLEAN, WHITE_0_DB))


SUITES: Mapping[str, Callable[[int], list[Job]]] = {"paper": paper, "splits": splits}
