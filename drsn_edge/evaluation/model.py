"""What is judged, as one value for both kinds: a run's Keras model and a bundle's int8 model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.open_model import check_model
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.runtime.names import DISTRIBUTIONS
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray

_BUNDLE_HAS_NO_THRESHOLDS = "A bundle returns logits only. Judge the run folder for its thresholds."


@dataclass(frozen=True)
class EvaluatedModel:
    """A model ready to be judged.

    Attributes:
        name: Of the run folder or in the bundle.
        kind: In words, with the arithmetic.
        version: MAJOR.MINOR.PATCH in the bundle; None for a run folder, which has none.
        network: Preset, where known.
        block: Block kind, where known.
        generator: What wrote it.
        contract: What the model was trained on.
        labels: Classes in the order of the logits.
        packages: The distributions whose versions decide the logits.
        logits: From windows in the contract's unit to logits, shape (n, classes).
        thresholds: From the same windows to tau of each block, shape (n, 1, 1, 1 or channels); None where it has none.
        no_thresholds: Why `thresholds` is None, in words; empty where it is not.
    """

    name: str
    kind: str
    version: str | None
    network: str | None
    block: str | None
    generator: str
    contract: SignalContract
    labels: tuple[str, ...]
    packages: tuple[str, ...]
    logits: Callable[[WindowSet], FloatArray]
    thresholds: Callable[[WindowSet], Sequence[FloatArray]] | None
    no_thresholds: str

    def facts(self) -> dict[str, Any]:
        """Return what is known of the model as plain JSON values."""
        names = ("name", "kind", "version", "network", "block", "generator")
        return {**{name: getattr(self, name) for name in names}, "labels": list(self.labels)}


def check_model_exists(path: Path) -> None:
    """Raise BundleError if there is neither a run folder nor a bundle at `path`, nor anything else."""
    if not path.exists():
        raise BundleError(
            f"Expected a run folder or a bundle at {path}, found nothing there. "
            "Make one with `drsn-edge train` or `drsn-edge convert`."
        )


def bundle_model(bundle: Bundle) -> EvaluatedModel:
    """Return a bundle's int8 model, run by the interpreter that a gateway uses.

    Raises:
        BundleError: If the model is not the one that the manifest describes.
        RuntimeUnavailableError: If no interpreter can run it.
    """
    manifest, classifier = bundle.manifest, Classifier(bundle.model)
    check_model(manifest, classifier)
    return EvaluatedModel(
        name=manifest.name,
        kind="bundle, int8",
        version=manifest.version,
        network=None,
        block=None,
        generator=manifest.generator,
        contract=manifest.contract,
        labels=manifest.labels,
        packages=(DISTRIBUTIONS[classifier.runtime],),
        logits=lambda windows: classifier.logits(network_input(windows.windows, manifest.contract, windows.speeds_hz)),
        thresholds=None,
        no_thresholds=_BUNDLE_HAS_NO_THRESHOLDS,
    )


def check_same_kind(model: EvaluatedModel, contract: SignalContract, labels: tuple[str, ...], run: Path) -> None:
    """Raise ContractError unless a run's windows are of the contract and labels that the model has."""
    ours = {**vars(model.contract), "labels": model.labels}
    theirs = {**vars(contract), "labels": labels}
    differing = [name for name in ours if ours[name] != theirs[name]]
    if differing:
        name = differing[0]
        raise ContractError(
            f"Expected the run that {model.name} was converted from, got {run} with another {name}: {theirs[name]} "
            f"instead of {ours[name]}. Choose another --run."
        )
