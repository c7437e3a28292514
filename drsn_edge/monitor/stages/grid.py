"""The grid on which windows are cut: a model's window and hop, stretched to the rate by the sensor's clock."""

from __future__ import annotations

from drsn_edge.monitor.stages.windower import Windower
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.resampling import FOLLOW, LIMIT, Cut, cut_for
from drsn_edge.signal.windows import Window
from firmware_bridge.wire.clock import Rate
from firmware_bridge.wire.events import SampleBlock

_SIGMAS = 4.0
"""Of a measured rate's uncertainty, within which it is taken for the one that windows are cut for."""


class Grid:
    """Cuts windows for a contract, anew when the sensor turns out to have another rate."""

    def __init__(self, contract: SignalContract) -> None:
        """Begin for a sensor of the contract's own rate."""
        self._contract = contract
        self._cut_at(1.0)

    @property
    def cut(self) -> Cut:
        """How windows are cut now."""
        return self._cut

    @property
    def sample_rate_hz(self) -> float:
        """The sensor's rate that windows are cut for."""
        return self._contract.sample_rate_hz * self._cut.ratio

    def begin(self, sample_rate_hz: float) -> None:
        """Begin anew for a sensor of that rate: what is buffered is forgotten."""
        self._cut_at(sample_rate_hz / self._contract.sample_rate_hz)

    def reset(self) -> None:
        """Forget what is buffered: the next block begins a new grid."""
        self._windower.reset()

    def take(self, block: SampleBlock) -> list[Window]:
        """Take in a block and return the windows that it completes."""
        windows = self._windower.take(block)
        if windows:
            self._waits_for_window = False
        return windows

    def follow_rate(self, measured: Rate | None) -> None:
        """Cut anew if the sensor turns out to have another rate, as far as that may be."""
        if measured is None or self._waits_for_window:
            return
        ratio = measured.hz / self._contract.sample_rate_hz
        least = FOLLOW + _SIGMAS * measured.uncertainty_hz / measured.hz
        if abs(ratio / self._cut.ratio - 1) > least and abs(ratio - 1) <= LIMIT:
            self._cut_at(ratio)
            self._waits_for_window = True  # what is cut anew again and again is never whole

    def for_contract(self, contract: SignalContract) -> Grid:
        """Return the grid of another contract for the same sensor; what is buffered stays where both cut alike."""
        grid = Grid(contract)
        grid._cut_at(self._cut.ratio * self._contract.sample_rate_hz / contract.sample_rate_hz)
        if grid._cut == self._cut:
            grid._windower = self._windower
        return grid

    def _cut_at(self, ratio: float) -> None:
        """Cut windows from now on for a sensor whose rate is `ratio` times the model's."""
        self._cut = cut_for(ratio, self._contract.window, self._contract.hop)
        self.longest_s = max(self._cut.window, self._cut.hop) / self.sample_rate_hz
        """The longest that a sensor without losses may take for its next window."""
        self._windower = Windower(self._cut.window, self._cut.hop, self.sample_rate_hz)
        self._waits_for_window = False  # whether a rate that was followed has not shown a window yet
