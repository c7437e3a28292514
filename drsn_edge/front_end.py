"""What a network is shown of a window: one place for training, conversion, judging and the gateway."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from drsn_edge.bundle.contract import SignalContract
from drsn_edge.errors import ContractError
from drsn_edge.signal import FloatArray, as_network_input, scale_windows
from drsn_edge.spectra import log_spectra


def network_input(windows: FloatArray, contract: SignalContract, speeds_hz: ArrayLike | None = None) -> FloatArray:
    """Return what the network sees, shape (n, 1, steps, channels).

    Args:
        windows: Shape (n, window, axes), in the contract's unit.
        contract: What the model was trained on.
        speeds_hz: Shaft speed of each window, shape (n,), or of all; only a contract that `needs_speed` looks at it.

    Raises:
        ContractError: If the shaft speed is needed and not known.
    """
    scaled = scale_windows(windows, contract.scaling)
    if contract.spectra is None:
        return as_network_input(scaled)
    speeds = np.broadcast_to(np.nan if speeds_hz is None else np.asarray(speeds_hz, np.float64), len(windows))
    if contract.needs_speed and not (speeds > 0).all():
        raise ContractError("The model sees shaft orders and needs the speed of the shaft. Say it, in rpm.")
    return as_network_input(log_spectra(scaled, contract.spectra, contract.sample_rate_hz, speeds))
