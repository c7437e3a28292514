"""From a window to the network's input: the same for training, conversion, evaluation and the gateway."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from drsn_edge.errors import ContractError
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.spectra import log_spectra
from drsn_edge.signal.windows import Centred, FloatArray, as_network_input, centre, divisors, scaled

_BATCH = 64
"""Most windows whose transforms are in memory."""


def check_speed(contract: SignalContract, speed_hz: float | None) -> None:
    """Raise ContractError if the model needs the shaft speed, in turns per second, and it is unknown."""
    if contract.needs_speed and not (speed_hz is not None and speed_hz > 0):
        raise ContractError(
            "The model needs the shaft speed, because its input is shaft orders, but the speed is unknown. Give --rpm, "
            "or state the field rpm of the recordings.",
            "no_speed",
            got=speed_hz,
        )


def network_input(windows: FloatArray, contract: SignalContract, speeds_hz: ArrayLike | None = None) -> FloatArray:
    """Return the network's input, shape (n, 1, steps, channels).

    Args:
        windows: Windows in the contract's unit, shape (n, window, axes).
        contract: Contract of the model.
        speeds_hz: Shaft speed in turns per second of each window, shape (n,), or of all windows; used only if the
            contract `needs_speed`.

    Raises:
        ContractError: If the shaft speed is needed and unknown.
    """
    return input_of(centre(windows), contract, speeds_hz)


def input_of(windows: Centred, contract: SignalContract, speeds_hz: ArrayLike | None = None) -> FloatArray:
    """Return the same as `network_input` for windows without their means."""
    if contract.spectra is None:
        return as_network_input(scaled(windows, contract.scaling))
    speeds = np.broadcast_to(np.nan if speeds_hz is None else np.asarray(speeds_hz, np.float64), len(windows))
    check_speed(contract, float(speeds.min(initial=np.inf)))
    divided, rate = divisors(windows, contract.scaling), contract.sample_rate_hz
    found = np.empty((len(windows), *contract.input_shape), np.float32)
    for at, part in windows.parts(_BATCH):
        found[at] = log_spectra(part.transform, contract.spectra, rate, speeds[at], divided[at])
    return as_network_input(found)
