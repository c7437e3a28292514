"""What a bundle knows in order to name a change: the bearing, and what the healthy machine shows at each speed.

NumPy only. `drsn_edge.signal.naming` has the rule; here are the values that it compares with, and their file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import BundleError
from drsn_edge.signal.bearing import BearingGeometry
from drsn_edge.signal.likeness import label_of
from drsn_edge.signal.naming import LEAST_TURNS, NAMES, Look, Usual, look
from drsn_edge.signal.shaft_lines import ORDERS
from drsn_edge.support.arrays import MAX_ARRAYS_BYTES, Form, archive_of, typed_arrays
from drsn_edge.support.invalid import InvalidValueError

MEMBER = "naming.npz"
"""Name of the file in a bundle and in a run folder."""

MOST_SPEEDS = 256
"""Most speeds that are kept apart."""

_TOGETHER, _NEAR = 0.01, 0.03
"""Shares of a speed up to which recordings count as of one speed, and up to which a machine has a learned speed."""

LOWEST_HZ, HIGHEST_SHARE = 1 / 3, 1 / 20
"""Lowest speed at which changes are named, in turns per second (20 rpm: a stretch would last for more than 30 s), and
highest one as a share of the sampling rate: few lines of a defect would lie below half of it."""

_LEAST_SAMPLES = 1024

_FORMS = {
    "bearing": Form(np.float64, 1),
    "shafts_hz": Form(np.float64, 1),
    "limits_db": Form(np.float64, 2),
    "powers": Form(np.float64, 1),
    "shaft_powers": Form(np.float64, 2),
}


@dataclass(frozen=True)
class Naming:
    """The bearing of a machine, and what the healthy machine shows.

    Attributes:
        bearing: The bearing under the sensor.
        shafts_hz: Speeds that were learned, in turns per second, ascending, at least one.
        usual: What the healthy machine shows at each of them.
    """

    bearing: BearingGeometry
    shafts_hz: tuple[float, ...]
    usual: tuple[Usual, ...]

    def usual_at(self, shaft_hz: float) -> Usual:
        """Return what the healthy machine shows at a speed, in turns per second.

        At a speed that was not learned it is the most that it shows at any learned one.
        """
        nearest = min(range(len(self.shafts_hz)), key=lambda at: abs(math.log(self.shafts_hz[at] / shaft_hz)))
        if abs(self.shafts_hz[nearest] / shaft_hz - 1) <= _NEAR:
            return self.usual[nearest]
        return Usual(
            {name: max(each.limits_db[name] for each in self.usual) for name in NAMES},
            max(each.power for each in self.usual),
            np.max([each.shaft_powers for each in self.usual], axis=0),
        )

    def label_of(self, samples: NDArray[np.float32], sample_rate_hz: float, shaft_hz: float) -> str:
        """Return what a stretch of vibration resembles: one of `drsn_edge.signal.likeness.LABELS`, or `not located`.

        Args:
            samples: Samples of at least `stretch_samples`, in the unit of the healthy ones, shape (n, axes).
            sample_rate_hz: Sampling rate in Hz.
            shaft_hz: Turns of the shaft per second, known to about 0.5 %.
        """
        return label_of(self.usual_at(shaft_hz).name_of(look(samples, sample_rate_hz, shaft_hz, self.bearing)))


def can_name(sample_rate_hz: float, shaft_hz: float) -> bool:
    """Tell whether changes can be named at a sampling rate in Hz and a shaft speed in turns per second; NaN: no."""
    return LOWEST_HZ <= shaft_hz <= HIGHEST_SHARE * sample_rate_hz


def speeds_in_words(sample_rate_hz: float) -> str:
    """Return the speeds at which changes are named, such as `20 to 9600 rpm`."""
    return f"{60 * LOWEST_HZ:.0f} to {60 * HIGHEST_SHARE * sample_rate_hz:.0f} rpm"


def stretch_samples(sample_rate_hz: float, shaft_hz: float) -> int:
    """Return the samples that a name needs: those of a second, and of `LEAST_TURNS` turns of the shaft."""
    return max(math.ceil(sample_rate_hz * max(1.0, (LEAST_TURNS + 0.01) / shaft_hz)), _LEAST_SAMPLES)


def learn_naming(looks: Mapping[float, Sequence[Look]], bearing: BearingGeometry, axes: int) -> Naming:
    """Return what a healthy machine shows.

    Args:
        looks: Looks at stretches of the healthy machine, at least one, by turns of the shaft per second.
        bearing: The bearing under the sensor.
        axes: Number of axes.
    """
    groups: list[list[float]] = []
    for shaft_hz in sorted(each for each, found in looks.items() if found):
        if groups and shaft_hz <= groups[-1][0] * (1 + _TOGETHER):
            groups[-1].append(shaft_hz)
        else:
            groups.append([shaft_hz])
    usual = [Usual.of([each for shaft_hz in group for each in looks[shaft_hz]], axes) for group in groups]
    return Naming(bearing, tuple(float(np.mean(group)) for group in groups), tuple(usual))


def naming_to_bytes(naming: Naming) -> bytes:
    """Return the bytes of the member; the same values give the same bytes."""
    return archive_of(
        bearing=np.array(astuple(naming.bearing), np.float64),
        shafts_hz=np.array(naming.shafts_hz),
        limits_db=np.array([[each.limits_db[name] for name in NAMES] for each in naming.usual]),
        powers=np.array([each.power for each in naming.usual]),
        shaft_powers=np.stack([each.shaft_powers for each in naming.usual]),
    )


def naming_from_bytes(data: bytes) -> Naming:
    """Return what `naming_to_bytes` has written.

    Raises:
        BundleError: If it is damaged, or holds impossible values.
    """
    try:
        arrays = typed_arrays(data, MAX_ARRAYS_BYTES, _FORMS)
        _check(arrays)
        n_balls, *dimensions = arrays["bearing"].tolist()
        bearing = BearingGeometry(int(n_balls), *dimensions)
    except InvalidValueError as exc:
        words = f"{MEMBER} is damaged: {str(exc).rstrip('.')}. Make the bundle again."
        raise BundleError(words, "damaged_naming", member=MEMBER) from exc
    usual = [
        Usual(dict(zip(NAMES, limits, strict=True)), power, powers)
        for limits, power, powers in zip(
            arrays["limits_db"].tolist(), arrays["powers"].tolist(), arrays["shaft_powers"], strict=True
        )
    ]
    return Naming(bearing, tuple(arrays["shafts_hz"].tolist()), tuple(usual))


def _check(arrays: Mapping[str, NDArray[np.float64]]) -> None:
    n = len(arrays["shafts_hz"])
    shapes = {
        "bearing": (4,),
        "shafts_hz": (n,),
        "limits_db": (n, len(NAMES)),
        "powers": (n,),
        "shaft_powers": (n, len(ORDERS)),
    }
    for name, shape in shapes.items():
        values = arrays[name]
        if values.shape != shape or not np.isfinite(values).all() or (values < 0).any():
            raise InvalidValueError(f"{name} must hold {shape} numbers of at least 0", "wrong_values", array=name)
    shafts = arrays["shafts_hz"]
    if not 1 <= n <= MOST_SPEEDS or shafts[0] <= 0 or (np.diff(shafts) <= 0).any():
        raise InvalidValueError("its speeds must be above 0 and ascending", "wrong_values", array="shafts_hz")
