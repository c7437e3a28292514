"""Abstention: the limit below which a window is UNSURE, from the promise of the bundle."""

from __future__ import annotations

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.promise import FEWEST_FOLDS, RiskPoint
from drsn_edge.errors import SettingsError
from drsn_edge.support.shares import in_percent, least_in_percent
from drsn_edge.support.wording import counted


def point_for(manifest: Manifest, at_most_wrong: float | None) -> RiskPoint | None:
    """Return the point of the risk-coverage curve that keeps the asked share of wrong classes; None if none is asked.

    Args:
        manifest: Manifest of the bundle.
        at_most_wrong: Share of the windows with CLASS that may be wrong, above 0 and below 1; None: no window is
            UNSURE.

    Raises:
        SettingsError: If it is no such share, the bundle has no promise or too few folds for one, or it cannot promise
            so small a share.
    """
    if at_most_wrong is None:
        return None
    if not 0 < at_most_wrong < 1:
        words = f"at_most_wrong must be a share above 0 and below 1, such as 0.02 for 2 %, got {at_most_wrong!r}."
        raise SettingsError(words, "invalid_share", got=at_most_wrong)
    asked, bundle, promise = in_percent(at_most_wrong), f"{manifest.name} {manifest.version}", manifest.promise
    if promise is None:
        why, instead = (
            ("its network was not chosen by inner folds", ", or train with --inputs auto and convert again")
            if manifest.has_network
            else ("it has no network, and so no classes that could be confused", "")
        )
        words = (
            f"The bundle {bundle} makes no promise, so at_most_wrong ({asked}) cannot be kept: {why}. Leave "
            f"--at-most-wrong (at_most_wrong in the settings) out{instead}."
        )
        raise SettingsError(words, "no_promise", bundle=bundle, asked=at_most_wrong)
    if not promise.is_made:
        words = (
            f"The bundle {bundle} promises nothing, so at_most_wrong ({asked}) cannot be kept: it was made with "
            f"{counted(promise.folds, 'inner fold')} ({promise.held_out}), and a promise takes at least {FEWEST_FOLDS}"
            ". Record one more value of what the folds hold out, train and convert again, or leave --at-most-wrong "
            "(at_most_wrong in the settings) out."
        )
        raise SettingsError(words, "too_few_folds", bundle=bundle, asked=at_most_wrong, got=promise.folds)
    found = promise.limit_for(at_most_wrong)
    if found is None:
        words = (
            f"The bundle {bundle} cannot promise that at most {asked} of the windows of a class are wrong; the least "
            f"that it can promise is {least_in_percent(promise.least_wrong)}, on {promise.held_out}. Ask for that or "
            "more (--at-most-wrong, or at_most_wrong in the settings)."
        )
        raise SettingsError(words, "cannot_be_promised", bundle=bundle, asked=at_most_wrong, least=promise.least_wrong)
    return found
