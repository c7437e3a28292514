"""What this machine is like where it stands: learned on site, kept beside the bundle, which stays as it is.

A model was trained on other machines or other mountings, so that a healthy machine on site may be unlike anything it
knows. What a site taught is added to what `drsn_edge.signal.novelty` keeps of the recordings: what is like either is
known. The weights are not touched, and removing the file takes all of it back.
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
"""Share of windows that the network must call what the machine is: what it takes for a fault is not learned."""

_MAX_BYTES = 8 << 20
"""Of the file beside a bundle; one takes some kilobytes."""

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
    """What a site taught about its machine.

    Attributes:
        bundle: SHA-256 of the manifest of the bundle that it belongs to.
        made_s: When, seconds since 1970.
        windows: How many it was learned from.
        site: What `Novelty` takes.
    """

    bundle: str
    made_s: float
    windows: int
    site: Site


def path_of(model: Path) -> Path:
    """Return where what was learned with a bundle lies, given the bundle's file."""
    return model.with_name(model.name + SUFFIX)


def identity(bundle: Bundle) -> str:
    """Return what tells a bundle from every other."""
    return hashlib.sha256(manifest_to_bytes(bundle.manifest)).hexdigest()


class Learner:
    """Keeps of each window what is learned from it, some hundred bytes."""

    def __init__(self, novelty: Novelty) -> None:
        """Begin; `novelty` is the bundle's."""
        self._novelty = novelty
        self._whitened: list[NDArray[np.float32]] = []
        self._levels: list[float] = []
        self._means: list[NDArray[np.float64]] = []
        self._mounting: list[NDArray[np.float32]] = []
        self._turned = 0

    def take(self, window: NDArray[np.float32]) -> None:
        """Take in a window of a healthy machine, shape (1, window, axes), in the contract's unit."""
        centred = centre(window)
        self._whitened.append(self._novelty.whitened_of(centred)[0])
        self._levels.append(float(centred.rms[0]))
        self._means.append(centred.means[0])
        if self._novelty.mounting is not None:
            self._mounting.append(features_of(centred)[0])
            self._turned += self._novelty.is_turned(centred)

    def learned(self, bundle: Bundle, now_s: float | None = None) -> Learned:
        """Return what all windows together taught.

        Args:
            bundle: That watches.
            now_s: Seconds since 1970.

        Raises:
            LearningError: If there are too few, or the sensor's axes are not those of training.
        """
        n = len(self._levels)
        if n < LEAST_WINDOWS:
            raise LearningError(f"Expected at least {LEAST_WINDOWS} good windows, got {n}. Listen for longer.")
        if self._turned > (1 - LEAST_AGREEMENT) * n:
            raise LearningError(
                f"Expected the axes {', '.join(bundle.manifest.contract.axes)} as they lay in training, but in "
                f"{self._turned} of {n} windows they move as if one was inverted or two had changed places. Mount the "
                "sensor as it was."
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
    """Write what was learned beside its bundle, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    values = {name: value for name, value in vars(learned).items() if name != "site"}
    site = {name: value for name, value in vars(learned.site).items() if value is not None}
    write_file(path_of(model), archive_of(**values, **site))


def load(model: Path, bundle: Bundle, n_features: int) -> Learned | None:
    """Return what was learned and lies beside a bundle, None if nothing was.

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
        raise LearningError(f"Expected what was learned in {path}, could not read it: {exc}. {remove}") from exc
    levels_of = (float(file["quietest_rms"]), float(file["loudest_rms"]))
    site = Site(file["prototypes"], float(file["limit"]), *levels_of, file["mean"], file.get("mounting"))
    found = Learned(str(file["bundle"]), float(file["made_s"]), int(file["windows"]), site)
    if found.bundle != identity(bundle):
        raise LearningError(f"{path} was learned with another bundle than {model.name}. {remove}")
    finite = np.isfinite(site.prototypes).all() and site.limit > 0 and min(site.quietest_rms, site.loudest_rms) >= 0
    finite = finite and _is_of(site, len(bundle.manifest.contract.axes))
    if site.prototypes.shape[1:] != (n_features,) or not len(site.prototypes) or not finite:
        raise LearningError(f"Expected what was learned in {path}, got impossible values. {remove}")
    return found


def _is_of(site: Site, n_axes: int) -> bool:
    """Tell whether what a site says of the mounting can be of so many axes."""
    mean_is = site.mean is None or (site.mean.shape == (n_axes,) and bool(np.isfinite(site.mean).all()))
    return mean_is and (site.mounting is None or is_mounting(site.mounting, n_axes))


def healthy_label(labels: Sequence[str], wanted: str | None) -> str:
    """Return the label of a healthy machine: the wanted one, or the one that is named so.

    Raises:
        LearningError: If there is no such label, or several.
    """
    found = [label for label in labels if label == wanted or (wanted is None and is_healthy(label))]
    if len(found) != 1:
        raise LearningError(
            f"Expected one label of a healthy machine, found {', '.join(found) or 'none'} among {', '.join(labels)}. "
            "Name it with --label."
        )
    return found[0]


def novelty_to_extend(bundle: Bundle, model: Path) -> Novelty:
    """Return what a bundle knows, which a site can add to.

    Raises:
        LearningError: If it does not know what is UNKNOWN; the text names the file `model`.
    """
    novelty = novelty_of(bundle)
    if novelty is None:
        raise LearningError(
            f"Expected a bundle that knows what is UNKNOWN, got {model}, which does not. Convert again."
        )
    return novelty


def learn_from(
    results: Iterable[Result], learner: Learner, bundle: Bundle, label: str, heard: Callable[[int], None]
) -> Learned:
    """Return what a healthy machine taught.

    Args:
        results: Of a monitor that gives its good windows to the learner.
        learner: That takes them.
        bundle: That watches.
        label: What the machine is.
        heard: Called with the number of windows that were judged.

    Raises:
        LearningError: If the sensor measures noise, too little came, or the network does not take the machine for what
            it is.
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
    """Refuse a machine that the network does not take for what it is.

    Args:
        said: Windows by what the network calls them.
        label: What the machine is.

    Raises:
        LearningError: If fewer than `LEAST_AGREEMENT` are called so.
    """
    total = sum(said.values())
    if total and said.get(label, 0) < LEAST_AGREEMENT * total:
        seen = ", ".join(f"{each} {count / total:.0%}" for each, count in sorted(said.items(), key=lambda i: -i[1]))
        raise LearningError(
            f"Expected the network to call this machine {label}, it says {seen}. It is not healthy, or the network "
            "does not know such a machine: train with recordings of it (`drsn-edge record`). Nothing was changed."
        )


def check_signal(noise: int, good: int) -> None:
    """Refuse a sensor that mostly measures its own noise.

    Args:
        noise: Windows that hold noise alone.
        good: Windows that were judged.

    Raises:
        LearningError: If most of them are noise.
    """
    if noise > good:
        raise LearningError(
            f"Expected a running machine, got noise alone in {noise} of {noise + good} windows: the sensor is off the "
            "machine, or the machine stands still. Fasten the sensor or start the machine, and learn again."
        )


def known_by(model: Path, bundle: Bundle, tell: Callable[[str], None]) -> Novelty | None:
    """Return what a bundle knows, with what was learned on site; None if it does not know what is UNKNOWN.

    What was learned and cannot be used is said and left alone.
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
