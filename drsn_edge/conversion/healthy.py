"""A run folder without a network in, a bundle without a network out. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from drsn_edge.bundle.bundle import Bundle, with_extra
from drsn_edge.bundle.healthy import HealthyOptions, healthy_bundle
from drsn_edge.errors import SettingsError
from drsn_edge.evaluation.early import MEMBER as EARLY
from drsn_edge.evaluation.early import FoundEarly, early_to_json
from drsn_edge.evaluation.early_detection import find_early
from drsn_edge.evaluation.without_network import Figures, HealthyModel, held_out_figures, model_of_bundle
from drsn_edge.signal.references import learn_references
from drsn_edge.support.json_text import json_text
from drsn_edge.training.fit_noise_alone import NoiseFit, fit_noise_limit
from drsn_edge.training.healthy import FALSE_UNKNOWN
from drsn_edge.training.healthy_run import HealthyRun


@dataclass(frozen=True)
class HealthyConversion:
    """A bundle without a network, and what it makes of the hold-out windows.

    Attributes:
        bundle: The bundle.
        model: Its model.
        held_out: How often hold-out windows are UNKNOWN.
        early: How early simulated faults are announced, and how often the healthy machine is.
        noise: Effect of the check for noise alone; None if the hold-out windows are too short for it.
    """

    bundle: Bundle
    model: HealthyModel
    held_out: Figures
    early: FoundEarly
    noise: NoiseFit | None


def convert_healthy(
    run: HealthyRun,
    options: HealthyOptions,
    *,
    learned_only: bool = False,
    show: Callable[[int, int], object] = lambda done, of: None,
) -> HealthyConversion:
    """Put what a run has learned into a bundle.

    Args:
        run: The run.
        options: Fields of the manifest; its label and its limit of noise are the run's.
        learned_only: Whether the limits allow for no operating point beside the learned ones.
        show: Called with the number of simulated faults that are done, and of all.

    Raises:
        SettingsError: If `unknown_share` is 0, so that the bundle could find nothing.
        LearningError: If `unknown_share` is above 0.5.
        BundleError: If the name or the version is invalid.
    """
    share = FALSE_UNKNOWN if options.unknown_share is None else options.unknown_share
    if not share:
        words = f"The run {run.name} has no network, and UNKNOWN is all that its bundle can find."
        raise SettingsError(f"{words} Type a share above 0 for --false-unknown.", "only_unknown", run=run.name)
    noise = fit_noise_limit(run.held_out)
    limit = None if noise is None else noise.limit
    chosen = replace(options, label=run.label, unknown_share=share, noise_limit=limit)
    novelty = learn_references(run.heard, share, not learned_only, run.contract.unit)
    bundle = healthy_bundle(novelty, run.contract, chosen, run.golden.windows, run.naming)
    model = model_of_bundle(bundle)
    early = find_early(model, run.naming, run.held_out, show)
    bundle = with_extra(bundle, EARLY, json_text(early_to_json(early)).encode())
    return HealthyConversion(bundle, model, held_out_figures(model, run.held_out), early, noise)
