"""What a network is shown of a window: one place for training, conversion, judging and the gateway."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from drsn_edge.errors import ContractError
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.spectra import log_spectra
from drsn_edge.signal.windows import Centred, FloatArray, as_network_input, centre, scaled, scaled_spectrum


def check_speed(contract: SignalContract, speed_hz: float | None) -> None:
    """Raise ContractError if the model needs the shaft's speed, in turns per second, and it is not known."""
    if contract.needs_speed and not (speed_hz is not None and speed_hz > 0):
        raise ContractError(
            "Expected the speed of the shaft, as the model sees shaft orders, got none. Give it with --rpm, or for "
            "recordings in their field rpm."
        )


def network_input(windows: FloatArray, contract: SignalContract, speeds_hz: ArrayLike | None = None) -> FloatArray:
    """Return what the network sees, shape (n, 1, steps, channels).

    Args:
        windows: Shape (n, window, axes), in the contract's unit.
        contract: What the model was trained on.
        speeds_hz: Shaft speed of each window, shape (n,), or of all; only a contract that `needs_speed` looks at it.

    Raises:
        ContractError: If the shaft speed is needed and not known.
    """
    return input_of(centre(windows), contract, speeds_hz)


def input_of(windows: Centred, contract: SignalContract, speeds_hz: ArrayLike | None = None) -> FloatArray:
    """Return what `network_input` does, of windows whose means are gone."""
    samples = scaled(windows, contract.scaling)
    if contract.spectra is None:
        return as_network_input(samples)
    speeds = np.broadcast_to(np.nan if speeds_hz is None else np.asarray(speeds_hz, np.float64), len(samples))
    check_speed(contract, float(speeds.min(initial=np.inf)))
    known = scaled_spectrum(windows, contract.scaling) if len(samples) == 1 and samples.shape[1] % 2 == 0 else None
    return as_network_input(log_spectra(samples, contract.spectra, contract.sample_rate_hz, speeds, known))
