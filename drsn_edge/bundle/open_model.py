"""From a bundle to what judges windows here: its model on an interpreter, chosen once, and what it knows as normal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.variants import EDGETPU_MODEL
from drsn_edge.errors import BundleError, RuntimeUnavailableError
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.runtime.coral import accelerators, cause, expect_edgetpu, library_fault
from drsn_edge.runtime.names import AUTO, EDGETPU, RuntimeChoice
from drsn_edge.signal.novelty import MEMBER as NOVELTY
from drsn_edge.signal.novelty import Novelty, novelty_from_bytes


def open_classifier(
    bundle: Bundle,
    choice: RuntimeChoice = AUTO,
    tell: Callable[[str], object] = lambda words: None,
    root: Path = Path("/"),
    warm: bool = True,
) -> Classifier:
    """Return what runs a bundle, checked against its manifest and warm.

    Args:
        bundle: With a variant for the Edge TPU, or without.
        choice: Of its user.
        tell: Given what a person should read: an Edge TPU that is here and is not used.
        root: Of the file system; other ones are for tests.
        warm: Whether it has run once.

    Raises:
        RuntimeUnavailableError: If nothing here runs it, or not what was asked for by name.
        BundleError: If the model is not what the manifest says, or there is no variant for the Edge TPU.
    """
    classifier = None
    if choice.runtime == EDGETPU or (choice.runtime == "auto" and _has_edgetpu(bundle, choice, root)):
        try:
            classifier = _on_edgetpu(bundle, choice, root)
        except (RuntimeUnavailableError, BundleError) as exc:
            if choice.runtime == EDGETPU and choice.fallback == "none":
                raise
            tell(f"{exc} The processor does its work.")
    if classifier is None:
        runtime = "auto" if choice.runtime == EDGETPU else choice.runtime
        classifier = Classifier(bundle.model, runtime, choice.threads)
    check_model(bundle.manifest, classifier)
    if warm:
        classifier.warm_up()
    return classifier


def _has_edgetpu(bundle: Bundle, choice: RuntimeChoice, root: Path) -> bool:
    return EDGETPU_MODEL in bundle.extras and bool(accelerators(root)) and library_fault(choice.edgetpu_library) is None


def _on_edgetpu(bundle: Bundle, choice: RuntimeChoice, root: Path) -> Classifier:
    model = bundle.extras.get(EDGETPU_MODEL)
    if model is None:
        raise BundleError(
            f"Expected {EDGETPU_MODEL} in the bundle, got none. Convert with --target edgetpu, then compile it: "
            "`drsn-edge bundle edgetpu --help` says how."
        )
    expect_edgetpu(model, choice.edgetpu_library, choice.edgetpu_device, root)
    try:
        return Classifier(model, EDGETPU, choice.threads, (choice.edgetpu_library, choice.edgetpu_device))
    except RuntimeUnavailableError as exc:  # it came up a moment, or a bundle, ago
        raise RuntimeUnavailableError(
            f"Expected an Edge TPU, {cause(str(exc), choice.edgetpu_library, root)}."
        ) from exc


def check_model(manifest: Manifest, classifier: Classifier) -> None:
    """Raise BundleError unless the model has the shapes that its manifest describes."""
    described = (manifest.input.shape, manifest.outputs[0].shape)
    found = (classifier.input.shape, classifier.output.shape)
    if described != found:
        raise BundleError(
            f"Expected a model from {described[0]} to {described[1]} as its manifest says, got one from {found[0]} to "
            f"{found[1]}. Make the bundle anew with `drsn-edge convert`."
        )


def novelty_of(bundle: Bundle) -> Novelty | None:
    """Return a bundle's, None if it has none.

    Raises:
        BundleError: If it is damaged or of other shapes than the contract's.
    """
    data, contract = bundle.extras.get(NOVELTY), bundle.manifest.contract
    if data is None:
        return None
    novelty = novelty_from_bytes(data, len(contract.axes))
    if novelty.lines > max(1, contract.window // 2):
        raise BundleError(f"Expected bands of at most half a window in {NOVELTY}, got {novelty.lines}. Convert again.")
    return novelty
