"""Opening a bundle: its model on an interpreter of this machine, and its novelty detection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drsn_edge.bundle.bundle import Bundle, network_of
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.variants import EDGETPU_MODEL
from drsn_edge.errors import BundleError, RuntimeUnavailableError
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.runtime.coral import accelerators, expect_edgetpu, fault_of, library_fault
from drsn_edge.runtime.names import AUTO, EDGETPU, RuntimeChoice
from drsn_edge.signal.novelty import MEMBER as NOVELTY
from drsn_edge.signal.novelty import Novelty, novelty_from_bytes
from drsn_edge.signal.resemblance import MEMBER as NAMING
from drsn_edge.signal.resemblance import Naming, naming_from_bytes


def open_classifier(
    bundle: Bundle,
    choice: RuntimeChoice = AUTO,
    tell: Callable[[str], object] = lambda words: None,
    root: Path = Path("/"),
    warm: bool = True,
) -> Classifier:
    """Return the classifier of a bundle with a network, checked against its manifest and warmed up.

    Args:
        bundle: Bundle with a network, and with or without a variant for the Edge TPU.
        choice: The user's choice of a runtime.
        tell: Called with a message if an Edge TPU is here and is not used.
        root: Root of the file system; tests use another.
        warm: Whether to run the classifier once.

    Raises:
        RuntimeUnavailableError: If no runtime here can run it, or the named runtime cannot.
        BundleError: If the bundle has no network, the model does not match the manifest, or the variant for the Edge
            TPU is missing.
    """
    model = network_of(bundle, "no interpreter can run it")
    classifier = None
    if choice.runtime == EDGETPU or (choice.runtime == "auto" and _has_edgetpu(bundle, choice, root)):
        try:
            classifier = _on_edgetpu(bundle, choice, root)
        except (RuntimeUnavailableError, BundleError) as exc:
            if choice.runtime == EDGETPU and choice.fallback == "none":
                raise
            tell(f"{exc} The CPU runs the model instead.")
    if classifier is None:
        runtime = "auto" if choice.runtime == EDGETPU else choice.runtime
        classifier = Classifier(model, runtime, choice.threads)
    check_model(bundle.manifest, classifier)
    if warm:
        classifier.warm_up()
    return classifier


def classifier_of(
    bundle: Bundle,
    choice: RuntimeChoice = AUTO,
    tell: Callable[[str], object] = lambda words: None,
    warm: bool = True,
) -> Classifier | None:
    """Return the same as `open_classifier`; None for a bundle without a network, which needs no runtime."""
    return open_classifier(bundle, choice, tell, warm=warm) if bundle.manifest.has_network else None


def _has_edgetpu(bundle: Bundle, choice: RuntimeChoice, root: Path) -> bool:
    return EDGETPU_MODEL in bundle.extras and bool(accelerators(root)) and library_fault(choice.edgetpu_library) is None


def _on_edgetpu(bundle: Bundle, choice: RuntimeChoice, root: Path) -> Classifier:
    model = bundle.extras.get(EDGETPU_MODEL)
    if model is None:
        raise BundleError(
            f"The bundle has no {EDGETPU_MODEL}. Convert with --target edgetpu, then compile it: "
            "`drsn-edge bundle edgetpu --help` shows how.",
            "no_edgetpu_model",
            member=EDGETPU_MODEL,
        )
    expect_edgetpu(model, choice.edgetpu_library, choice.edgetpu_device, root)
    try:
        return Classifier(model, EDGETPU, choice.threads, (choice.edgetpu_library, choice.edgetpu_device))
    except RuntimeUnavailableError as exc:  # it worked a moment, or a bundle, ago
        raise fault_of(str(exc), choice.edgetpu_library, root) from exc


def check_model(manifest: Manifest, classifier: Classifier) -> None:
    """Raise BundleError unless the model has the shapes that the manifest describes."""
    described = (None, None) if manifest.input is None else (manifest.input.shape, manifest.outputs[0].shape)
    found = (classifier.input.shape, classifier.output.shape)
    if described != found:
        raise BundleError(
            f"The manifest describes a model from {described[0]} to {described[1]}, but the model goes from {found[0]} "
            f"to {found[1]}. Make the bundle again with `drsn-edge convert`.",
            "other_shapes",
            expected=described,
            got=found,
        )


def novelty_of(bundle: Bundle) -> Novelty | None:
    """Return the novelty detection of a bundle; None if it has none.

    Raises:
        BundleError: If it is damaged, or its shapes do not fit the contract.
    """
    data, contract = bundle.extras.get(NOVELTY), bundle.manifest.contract
    if data is None:
        return None
    novelty = novelty_from_bytes(data, len(contract.axes))
    if novelty.lines > max(1, contract.window // 2):
        most = max(1, contract.window // 2)
        words = f"{NOVELTY} has {novelty.lines} bands; the limit is half a window, {most}. Convert again."
        raise BundleError(words, "too_many_bands", member=NOVELTY, got=novelty.lines, limit=most)
    return novelty


def naming_of(bundle: Bundle) -> Naming | None:
    """Return what a bundle without a network names changes by; None if its manifest lists no names.

    Raises:
        BundleError: If it is damaged.
    """
    if not bundle.manifest.names_changes:
        return None
    return naming_from_bytes(bundle.extras[NAMING])
