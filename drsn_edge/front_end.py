"""What a network is shown of a window: one place for training, conversion, judging and the gateway."""

from __future__ import annotations

from drsn_edge.bundle.contract import SignalContract
from drsn_edge.signal import FloatArray, as_network_input, scale_windows


def network_input(windows: FloatArray, contract: SignalContract) -> FloatArray:
    """Return what the network sees, shape (n, 1, steps, channels).

    Args:
        windows: Shape (n, window, axes), in the contract's unit.
        contract: What the model was trained on.
    """
    return as_network_input(scale_windows(windows, contract.scaling))
