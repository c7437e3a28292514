"""The model to evaluate, as one value for both kinds: a run's Keras model and a bundle's int8 model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.bundle.bundle import Bundle, network_of
from drsn_edge.bundle.open_model import check_model
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.runtime.names import DISTRIBUTIONS
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray

_BUNDLE_HAS_NO_THRESHOLDS = "A bundle returns logits only. Evaluate the run folder to see the thresholds."


@dataclass(frozen=True)
class EvaluatedModel:
    """A model ready for evaluation.

    Attributes:
        name: Name of the run folder, or the name in the bundle.
        kind: "run folder, float32" or "bundle, int8".
        version: MAJOR.MINOR.PATCH of a bundle; None for a run folder, which has no version.
        network: Preset of the network; None if unknown.
        block: Kind of its blocks; None if unknown.
        generator: Program and version that wrote the model.
        contract: Contract of the model.
        labels: Classes in the order of the logits.
        packages: Distributions whose versions influence the logits.
        logits: Function from windows in the contract's unit to logits, shape (n, classes).
        thresholds: Function from such windows to tau of each block, shape (n, 1, 1, 1 or channels); None if the model
            has no thresholds.
        no_thresholds: Sentence about why `thresholds` is None; else empty.
        temperature: Divisor of the logits before the softmax; see `Manifest.temperature`.
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
    temperature: float = 1.0

    def facts(self) -> dict[str, Any]:
        """Return name, kind, version, network, block, generator and labels as plain JSON values."""
        names = ("name", "kind", "version", "network", "block", "generator")
        return {**{name: getattr(self, name) for name in names}, "labels": list(self.labels)}


def check_model_exists(path: Path) -> None:
    """Raise BundleError if nothing exists at `path`."""
    if not path.exists():
        raise BundleError(
            f"There is no run folder and no bundle at {path}. Check the path, or make a run with `drsn-edge train` and "
            "a bundle with `drsn-edge convert`.",
            "missing",
            path=path,
        )


def bundle_model(bundle: Bundle) -> EvaluatedModel:
    """Return a bundle's int8 model, run by the interpreter that a gateway uses.

    Raises:
        BundleError: If the model differs from the manifest's description.
        RuntimeUnavailableError: If no interpreter can run the model.
    """
    manifest, classifier = bundle.manifest, Classifier(network_of(bundle, "there are no logits to evaluate"))
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
        temperature=manifest.temperature,
    )


def check_same_kind(model: EvaluatedModel, contract: SignalContract, labels: tuple[str, ...], run: Path) -> None:
    """Raise ContractError if the contract or the labels of a run differ from those of the model."""
    ours = {**vars(model.contract), "labels": model.labels}
    theirs = {**vars(contract), "labels": labels}
    differing = [name for name in ours if ours[name] != theirs[name]]
    if differing:
        name = differing[0]
        raise ContractError(
            f"{model.name} was not converted from the run {run}, whose {name} is {theirs[name]} instead of "
            f"{ours[name]}. Choose another --run.",
            "other_run",
            model=model.name,
            path=run,
            what=name,
            got=theirs[name],
            expected=ours[name],
        )
