"""The healthy machine on site: learned there and kept in a file beside the bundle, which does not change.

A model was trained on other machines or other mountings, so a healthy machine on site may be unlike everything in the
training data. What is learned on site are further references of `drsn_edge.signal.novelty`, one for each operating
point: a window that is like any reference is known. The weights do not change, and removing the file undoes everything.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import manifest_to_bytes
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.errors import LearningError
from drsn_edge.monitor.stages.learner import LEAST_AGREEMENT, Learner
from drsn_edge.monitor.stages.results import Result, WindowResult
from drsn_edge.signal.novelty import Novelty, References, are_references
from drsn_edge.signal.references import further_references
from drsn_edge.support.arrays import Form, archive_of, typed_arrays
from drsn_edge.support.files import write_file
from drsn_edge.support.palette import is_healthy
from drsn_edge.verdicts import NOISE_ALONE
from firmware_bridge.support.regular_file import read_regular

SUFFIX = ".learned"
_MAX_BYTES = 8 << 20
"""Limit of the file beside a bundle, which takes some kB."""

_FALSE_UNKNOWN = 0.01
"""Share of the windows of the site that are beyond the limits of what was learned there."""

_FORMS = {
    "bundle": Form(np.str_, 0),
    "made_s": Form(np.float64, 0),
    "windows": Form(np.int64, 0),
    "prototypes": Form(np.float32, 2),
    "limits": Form(np.float32, 1),
    "levels": Form(np.float64, 1),
    "quietest_rms": Form(np.float64, 0),
    "loudest_rms": Form(np.float64, 0),
    "offset": Form(np.float64, 1),
}
_OF_SEVERAL_AXES = {"mounting": Form(np.float32, 3)}


@dataclass(frozen=True)
class Learned:
    """Data learned about a machine on site.

    Attributes:
        bundle: SHA-256 of the manifest of the bundle that it belongs to.
        made_s: Time of learning, in seconds since 1970.
        windows: Number of windows that it was learned from.
        references: References for `Novelty.with_references`.
    """

    bundle: str
    made_s: float
    windows: int
    references: References


def path_of(model: Path) -> Path:
    """Return the file of the data learned with a bundle, given the bundle's file."""
    return model.with_name(model.name + SUFFIX)


def identity(bundle: Bundle) -> str:
    """Return the identity of a bundle: the SHA-256 of its manifest."""
    return hashlib.sha256(manifest_to_bytes(bundle.manifest)).hexdigest()


def overlay(learner: Learner, novelty: Novelty, bundle: Bundle, now_s: float | None = None) -> Learned:
    """Return what a learner has learned as an overlay of a bundle.

    Args:
        learner: The learner of the windows.
        novelty: Novelty detection of the bundle.
        bundle: Bundle that judges the windows.
        now_s: Time in seconds since 1970; None: now.

    Raises:
        LearningError: If there are too few windows, or the sensor's axes differ from those in training.
    """
    heard = learner.heard()
    learner.expect_as_in_training(bundle.manifest.contract.axes)
    references = further_references(heard, novelty, _FALSE_UNKNOWN)
    return Learned(identity(bundle), time.time() if now_s is None else now_s, learner.windows, references)


def save(learned: Learned, model: Path) -> None:
    """Write the learned data beside its bundle, completely or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    values = {name: value for name, value in vars(learned).items() if name != "references"}
    references = {name: value for name, value in vars(learned.references).items() if value is not None}
    write_file(path_of(model), archive_of(**values, **references))


def load(model: Path, bundle: Bundle, n_features: int) -> Learned | None:
    """Return the learned data beside a bundle; None if there is none.

    Raises:
        LearningError: If it is damaged, or belongs to another bundle.
    """
    path = path_of(model)
    remove = f"Learn it again, or remove it: drsn-edge learn --model {model} --remove"
    try:
        file = typed_arrays(read_regular(path, _MAX_BYTES), _MAX_BYTES, _FORMS, _OF_SEVERAL_AXES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        words = f"Could not read the learned data in {path}: {exc}. {remove}"
        raise LearningError(words, "unreadable", path=path) from exc
    outermost = float(file["quietest_rms"]), float(file["loudest_rms"])
    arrays = file["prototypes"], file["limits"], file["levels"]
    references = References(*arrays, *outermost, file["offset"], file.get("mounting"))
    found = Learned(str(file["bundle"]), float(file["made_s"]), int(file["windows"]), references)
    if found.bundle != identity(bundle):
        words = f"{path} was learned with another bundle than {model.name}. {remove}"
        raise LearningError(words, "other_bundle", path=path, model=model.name)
    if not are_references(references, n_features, len(bundle.manifest.contract.axes)):
        raise LearningError(f"The learned data in {path} has invalid values. {remove}", "invalid_values", path=path)
    return found


def healthy_label(labels: Sequence[str], wanted: str | None) -> str:
    """Return the label of a healthy machine: the wanted one, or the only one that means healthy.

    Raises:
        LearningError: If no label matches, or several do.
    """
    found = [label for label in labels if label == wanted or (wanted is None and is_healthy(label))]
    if len(found) != 1:
        what = (
            f"Several labels mean a healthy machine: {', '.join(found)}"
            if found
            else "No label means a healthy machine"
        )
        words = f"{what}. Choose one of {', '.join(labels)} with --label."
        raise LearningError(words, "no_healthy_label", found=found, labels=tuple(labels), got=wanted)
    return found[0]


def novelty_to_extend(bundle: Bundle, model: Path) -> Novelty:
    """Return the novelty detection of a bundle, to which a site can add references.

    Raises:
        LearningError: If the bundle has none; the message names the file `model`.
    """
    novelty = novelty_of(bundle)
    if novelty is None:
        words = f"{model} cannot detect UNKNOWN windows, so nothing can be learned with it. Convert it again."
        raise LearningError(words, "no_novelty", path=model)
    return novelty


def learn_from(
    results: Iterable[Result],
    learner: Learner,
    novelty: Novelty,
    bundle: Bundle,
    label: str,
    heard: Callable[[int], None],
) -> Learned:
    """Return what was learned from a healthy machine.

    Args:
        results: Results of a monitor that passes its good windows to the learner.
        learner: The learner.
        novelty: Novelty detection of the bundle.
        bundle: Bundle that judges the windows.
        label: Label of the machine.
        heard: Called with the number of judged windows.

    Raises:
        LearningError: If the sensor measures only noise, there are too few windows, or the network assigns another
            label to the machine.
    """
    said: Counter[str] = Counter()
    noise = 0
    for result in results:
        noise += isinstance(result, WindowResult) and result.reason == NOISE_ALONE
        if isinstance(result, WindowResult) and result.label is not None:
            said[result.label] += 1
            heard(said.total())
    check_signal(noise, said.total())
    learned = overlay(learner, novelty, bundle)
    check_agreement(said, label)
    return learned


def check_agreement(said: Mapping[str, int], label: str) -> None:
    """Refuse a machine to which the network assigns another label.

    Args:
        said: Number of windows by label of the network.
        label: Label of the machine.

    Raises:
        LearningError: If the share of windows with this label is below `LEAST_AGREEMENT`.
    """
    total = sum(said.values())
    if total and said.get(label, 0) < LEAST_AGREEMENT * total:
        seen = ", ".join(f"{each} {count / total:.0%}" for each, count in sorted(said.items(), key=lambda i: -i[1]))
        raise LearningError(
            f"The network does not recognise this machine as {label}, but as {seen}. The machine is not healthy, or "
            "the network does not know such a machine: train with recordings of it (`drsn-edge record`). Nothing was "
            "changed.",
            "not_recognised",
            label=label,
            shares={each: count / total for each, count in said.items()},
        )


def check_signal(noise: int, good: int) -> None:
    """Refuse a sensor that mostly measures its own noise.

    Args:
        noise: Number of windows that hold noise alone.
        good: Number of windows that were judged.

    Raises:
        LearningError: If more windows hold noise alone than were judged.
    """
    if noise > good:
        raise LearningError(
            f"{noise} of {noise + good} windows hold only noise: the sensor is off the machine, or the machine stands "
            "still. Fasten the sensor or start the machine, and learn again.",
            "noise_alone",
            got=noise,
            windows=noise + good,
        )


def known_by(model: Path, bundle: Bundle, tell: Callable[[str], None]) -> Novelty | None:
    """Return the novelty detection of a bundle with the data learned on site; None if the bundle has none.

    Learned data that cannot be used is reported and ignored.
    """
    novelty = novelty_of(bundle)
    if novelty is None:
        return None
    try:
        learned = load(model, bundle, novelty.whitening.shape[0])
    except LearningError as exc:
        tell(str(exc))
        return novelty
    if learned is None:
        return novelty
    return novelty.with_references(learned.references)
