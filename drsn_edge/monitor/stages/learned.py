"""The healthy machine on site: learned there and kept in a file beside the bundle, which does not change.

A model was trained on other machines or other mountings, so a healthy machine on site may be unlike everything in the
training data. The data learned on site is added to the training data of `drsn_edge.signal.novelty`: a window that is
similar to either is known. The weights do not change, and removing the file undoes everything.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import manifest_to_bytes
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.errors import LearningError
from drsn_edge.monitor.stages.results import Result, WindowResult
from drsn_edge.signal.mounting import features_of
from drsn_edge.signal.novelty import Novelty, Site, is_mounting, to_nearest
from drsn_edge.signal.windows import centre
from drsn_edge.support.arrays import Form, archive_of, typed_arrays
from drsn_edge.support.files import write_file
from drsn_edge.support.palette import is_healthy
from drsn_edge.verdicts import NOISE_ALONE
from firmware_bridge.support.regular_file import read_regular

SUFFIX = ".learned"
LEAST_WINDOWS = 50
LEAST_AGREEMENT = 0.9
"""Share of windows that the network must assign to the machine's label; a suspected fault is not learned."""

_MAX_BYTES = 8 << 20
"""Limit of the file beside a bundle, which takes some kB."""

_STRETCHES = 8
_QUANTILE = 0.99
_MARGIN = 1.1
_OUTERMOST = 0.001

_FORMS = {
    "bundle": Form(np.str_, 0),
    "made_s": Form(np.float64, 0),
    "windows": Form(np.int64, 0),
    "prototypes": Form(np.float32, 2),
    "limit": Form(np.float64, 0),
    "quietest_rms": Form(np.float64, 0),
    "loudest_rms": Form(np.float64, 0),
    "mean": Form(np.float64, 1),
}
_OF_SEVERAL_AXES = {"mounting": Form(np.float32, 3)}


@dataclass(frozen=True)
class Learned:
    """Data learned about a machine on site.

    Attributes:
        bundle: SHA-256 of the manifest of the bundle that it belongs to.
        made_s: Time of learning, in seconds since 1970.
        windows: Number of windows that it was learned from.
        site: The data for `Novelty`.
    """

    bundle: str
    made_s: float
    windows: int
    site: Site


def path_of(model: Path) -> Path:
    """Return the file of the data learned with a bundle, given the bundle's file."""
    return model.with_name(model.name + SUFFIX)


def identity(bundle: Bundle) -> str:
    """Return the identity of a bundle: the SHA-256 of its manifest."""
    return hashlib.sha256(manifest_to_bytes(bundle.manifest)).hexdigest()


class Learner:
    """Keeps the features of each window that are learned, some hundred bytes."""

    def __init__(self, novelty: Novelty) -> None:
        """Begin with the novelty detection of the bundle."""
        self._novelty = novelty
        self._whitened: list[NDArray[np.float32]] = []
        self._levels: list[float] = []
        self._means: list[NDArray[np.float64]] = []
        self._mounting: list[NDArray[np.float32]] = []
        self._turned = 0

    def take(self, window: NDArray[np.float32]) -> None:
        """Take a window of a healthy machine, shape (1, window, axes), in the contract's unit."""
        centred = centre(window)
        self._whitened.append(self._novelty.whitened_of(centred)[0])
        self._levels.append(float(centred.rms[0]))
        self._means.append(centred.means[0])
        if self._novelty.mounting is not None:
            self._mounting.append(features_of(centred)[0])
            self._turned += bool(self._novelty.are_turned(centred)[0])

    def learned(self, bundle: Bundle, now_s: float | None = None) -> Learned:
        """Return what was learned from all windows.

        Args:
            bundle: Bundle that judges the windows.
            now_s: Time in seconds since 1970; None: now.

        Raises:
            LearningError: If there are too few windows, or the sensor's axes differ from those in training.
        """
        n = len(self._levels)
        if n < LEAST_WINDOWS:
            words = f"Only {n} good windows were received; learning needs at least {LEAST_WINDOWS}. Listen for longer."
            raise LearningError(words, "too_few_windows", got=n, limit=LEAST_WINDOWS)
        if self._turned > (1 - LEAST_AGREEMENT) * n:
            axes = bundle.manifest.contract.axes
            raise LearningError(
                f"The axes {', '.join(axes)} are not mounted as in training: in {self._turned} of {n} windows they "
                "move as if one were inverted or two were swapped. Mount the sensor as in training.",
                "axes_turned",
                axes=axes,
                got=self._turned,
                windows=n,
            )
        whitened = np.stack(self._whitened)
        prototypes = np.stack([part.mean(axis=0) for part in np.array_split(whitened, _STRETCHES)])
        limit = _MARGIN * float(np.quantile(to_nearest(whitened, prototypes), _QUANTILE))
        quietest, loudest = np.quantile(self._levels, (_OUTERMOST, 1 - _OUTERMOST)).tolist()
        mounting = None
        if self._mounting:
            parts = np.array_split(np.stack(self._mounting), _STRETCHES)
            mounting = np.stack([part.mean(axis=0) for part in parts])
        site = Site(prototypes, limit, quietest, loudest, np.median(self._means, axis=0), mounting)
        return Learned(identity(bundle), time.time() if now_s is None else now_s, n, site)


def save(learned: Learned, model: Path) -> None:
    """Write the learned data beside its bundle, completely or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    values = {name: value for name, value in vars(learned).items() if name != "site"}
    site = {name: value for name, value in vars(learned.site).items() if value is not None}
    write_file(path_of(model), archive_of(**values, **site))


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
    levels_of = (float(file["quietest_rms"]), float(file["loudest_rms"]))
    site = Site(file["prototypes"], float(file["limit"]), *levels_of, file["mean"], file.get("mounting"))
    found = Learned(str(file["bundle"]), float(file["made_s"]), int(file["windows"]), site)
    if found.bundle != identity(bundle):
        words = f"{path} was learned with another bundle than {model.name}. {remove}"
        raise LearningError(words, "other_bundle", path=path, model=model.name)
    finite = np.isfinite(site.prototypes).all() and site.limit > 0 and min(site.quietest_rms, site.loudest_rms) >= 0
    finite = finite and _is_of(site, len(bundle.manifest.contract.axes))
    if site.prototypes.shape[1:] != (n_features,) or not len(site.prototypes) or not finite:
        raise LearningError(f"The learned data in {path} has invalid values. {remove}", "invalid_values", path=path)
    return found


def _is_of(site: Site, n_axes: int) -> bool:
    """Tell whether the mounting of a site fits this number of axes."""
    mean_is = site.mean is None or (site.mean.shape == (n_axes,) and bool(np.isfinite(site.mean).all()))
    return mean_is and (site.mounting is None or is_mounting(site.mounting, n_axes))


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
    """Return the novelty detection of a bundle, to which a site can add data.

    Raises:
        LearningError: If the bundle has none; the message names the file `model`.
    """
    novelty = novelty_of(bundle)
    if novelty is None:
        words = f"{model} cannot detect UNKNOWN windows, so nothing can be learned with it. Convert it again."
        raise LearningError(words, "no_novelty", path=model)
    return novelty


def learn_from(
    results: Iterable[Result], learner: Learner, bundle: Bundle, label: str, heard: Callable[[int], None]
) -> Learned:
    """Return what was learned from a healthy machine.

    Args:
        results: Results of a monitor that passes its good windows to the learner.
        learner: The learner.
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
    learned = learner.learned(bundle)
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
    mounting, taught = novelty.mounting, learned.site.mounting
    if mounting is not None and taught is not None:
        mounting = mounting.with_site(taught)
    return replace(novelty, site=learned.site, mounting=mounting)
