"""Bundles of healthy recordings alone: novelty detection and a signal contract in, a bundle without a network out.

A window of such a bundle is of its healthy label, UNKNOWN, or without a verdict; with the geometry of a bearing it may
also be `like` a fault. NumPy makes and runs it: neither needs
TensorFlow or an interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from drsn_edge import __version__
from drsn_edge.bundle.bundle import Bundle, with_extra
from drsn_edge.bundle.golden import MEMBER as GOLDEN
from drsn_edge.bundle.golden_novelty import TOLERANCE, golden_novelty_of, golden_novelty_to_bytes, make_golden_novelty
from drsn_edge.bundle.manifest import Budget, Manifest
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.likeness import LABELS as NAMES
from drsn_edge.signal.novelty import MEMBER as NOVELTY
from drsn_edge.signal.novelty import Novelty, novelty_to_bytes
from drsn_edge.signal.resemblance import MEMBER as NAMING
from drsn_edge.signal.resemblance import Naming, naming_to_bytes
from drsn_edge.signal.windows import FloatArray

LABEL = "healthy"
"""Label of a healthy machine, unless another one is chosen."""


@dataclass(frozen=True)
class HealthyOptions:
    """Fields of the manifest that its maker chooses; see `drsn_edge.bundle.manifest.Manifest`.

    Attributes:
        name: Name of the bundle.
        version: MAJOR.MINOR.PATCH.
        label: Label of a window that is like the healthy recordings: `healthy`, `normal`, `good` or `ok`.
        floor: Lowest version that a gateway still accepts; None: `version`.
        votes: Votes K/N that change a decision; None: the monitor's own.
        unknown_share: Share of healthy windows that the limit of novelty makes UNKNOWN; None: not known.
        noise_limit: Probability above which a window counts as noise alone; None: the monitor's own.
        budget: Limits of the cost on a gateway; None: no limits.
    """

    name: str
    version: str
    label: str = LABEL
    floor: str | None = None
    votes: str | None = None
    unknown_share: float | None = None
    noise_limit: float | None = None
    budget: Budget | None = None


def healthy_manifest(contract: SignalContract, options: HealthyOptions, names_changes: bool = False) -> Manifest:
    """Return the manifest of a bundle without a network, before it has members.

    Args:
        contract: Signal contract.
        options: Fields of the manifest.
        names_changes: Whether the bundle says what a change resembles.

    Raises:
        BundleError: If a field is invalid.
    """
    return Manifest(
        contract=replace(contract, spectra=None),
        labels=(options.label, *(NAMES if names_changes else ())),
        input=None,
        outputs=(),
        parts={},
        generator=f"drsn-edge {__version__}",
        golden_tolerance_novelty=TOLERANCE,
        **{name: value for name, value in vars(options).items() if name != "label"},
    )


def healthy_bundle(
    novelty: Novelty,
    contract: SignalContract,
    options: HealthyOptions,
    windows: FloatArray,
    naming: Naming | None = None,
) -> Bundle:
    """Return a bundle without a network, unsigned.

    Args:
        novelty: Novelty detection that was fitted to healthy windows.
        contract: Signal contract of these windows. Its spectra, which only a network sees, are left out.
        options: Name, version and further fields of the manifest.
        windows: Healthy windows in the contract's unit, shape (n, window, axes), n >= 1; some become golden windows.
        naming: What changes are named by; None: no change is named.

    Raises:
        BundleError: If a field of the manifest is invalid, the novelty does not fit the contract, or it gives no finite
            numbers for the windows.
    """
    manifest = healthy_manifest(contract, options, naming is not None)
    bundle = with_extra(Bundle(manifest, None), NOVELTY, novelty_to_bytes(novelty))
    if naming is not None:
        bundle = with_extra(bundle, NAMING, naming_to_bytes(naming))
    read = novelty_of(bundle)
    assert read is not None
    golden = make_golden_novelty(read, manifest.contract, windows)
    bundle = with_extra(bundle, GOLDEN, golden_novelty_to_bytes(golden))
    golden_novelty_of(bundle)  # refuses novelties that are not finite, and windows of another length
    return bundle
