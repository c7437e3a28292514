"""The grid on which windows are cut: a model's window and hop, stretched to the sampling rate by the sensor's clock."""

from __future__ import annotations

from drsn_edge.monitor.stages.windower import Windower
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.resampling import FOLLOW, Cut, cut_for, is_followed
from drsn_edge.signal.windows import Window
from firmware_bridge.wire.clock import Rate
from firmware_bridge.wire.events import SampleBlock

_SIGMAS = 4.0
"""Multiple of a measured rate's uncertainty within which it counts as equal to the rate of the grid."""


class Grid:
    """Cuts windows for a contract, and changes the grid when the sensor's measured rate differs.

    For a sensor with a multiple of the contract's rate, windows are longer by that factor: they are decimated later.
    """

    def __init__(self, contract: SignalContract) -> None:
        """Begin for a sensor with the contract's sampling rate."""
        self._contract = contract
        self._followed: Rate | None = None  # the rate that the cut was compared with last
        self._cut_at(1.0)

    @property
    def cut(self) -> Cut:
        """The present cut of windows."""
        return self._cut

    @property
    def sample_rate_hz(self) -> float:
        """Sampling rate of the sensor for which windows are cut, in Hz."""
        return self._contract.sample_rate_hz * self._cut.ratio

    @property
    def hop_s(self) -> float:
        """Time from one window start to the next, in seconds."""
        return self._cut.hop / self.sample_rate_hz

    @property
    def samples_to_window(self) -> int:
        """Number of samples without a loss that complete the next window."""
        return self._windower.samples_to_window

    def begin(self, sample_rate_hz: float) -> None:
        """Start again for a sensor with this sampling rate, with an empty buffer."""
        self._cut_at(sample_rate_hz / self._contract.sample_rate_hz)

    def reset(self) -> None:
        """Empty the buffer; the next block starts a new grid."""
        self._windower.reset()

    def take(self, block: SampleBlock) -> list[Window]:
        """Take a block and return the windows that it completes."""
        windows = self._windower.take(block)
        if windows:
            self._waits_for_window = False
        return windows

    def follow_rate(self, measured: Rate | None) -> None:
        """Change the grid if the measured rate differs from it and stays within the limit."""
        if measured is None or measured is self._followed or self._waits_for_window:
            return
        self._followed = measured
        ratio = measured.hz / self._contract.sample_rate_hz
        least = FOLLOW + _SIGMAS * measured.uncertainty_hz / measured.hz
        if abs(ratio / self._cut.ratio - 1) > least and is_followed(ratio, self._cut.factor):
            self._cut_at(ratio)
            self._waits_for_window = True  # a grid that changes all the time never completes a window

    def for_contract(self, contract: SignalContract) -> Grid:
        """Return the grid of another contract for the same sensor; the buffer stays if both cut alike."""
        grid = Grid(contract)
        grid._cut_at(self._cut.ratio * self._contract.sample_rate_hz / contract.sample_rate_hz)
        if grid._cut == self._cut:
            grid._windower = self._windower
        return grid

    def _cut_at(self, ratio: float) -> None:
        """Cut windows from now on for a sensor whose rate is `ratio` times the model's."""
        self._cut = cut_for(ratio, self._contract.window, self._contract.hop, self._contract.decimation)
        self.longest_s = max(self._cut.window, self._cut.hop) / self.sample_rate_hz
        """Longest time in seconds until the next window of a sensor without losses."""
        self._windower = Windower(self._cut.window, self._cut.hop, self.sample_rate_hz)
        self._followed = None
        self._waits_for_window = False  # whether no window was complete since the last change
