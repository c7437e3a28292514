"""A network of the family as a plain value, its presets, and what it costs. No Keras here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from drsn_edge.errors import TrainingError

BLOCK_KINDS = ("rsbu-cw", "rsbu-cs")
"""Channel-wise and channel-shared residual shrinkage building units."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; the first of them strides in time."""

    channels: int
    blocks: int
    stride: int


@dataclass(frozen=True)
class DrsnConfig:
    """One network of the family.

    Attributes:
        window: Samples per window, the input's time axis.
        n_axes: Accelerometer axes, the input's channels.
        n_classes: Logits.
        stem_channels: Filters of the first convolution.
        stem_kernel: Its length in samples; wide, so that it can act as a filter bank against noise.
        stem_stride: Its stride in samples.
        stages: The residual stages in order.
        kernel: Length of the convolutions inside a block.
        block: One of `BLOCK_KINDS`.
    """

    window: int
    n_axes: int
    n_classes: int
    stem_channels: int
    stem_kernel: int
    stem_stride: int
    stages: tuple[Stage, ...]
    kernel: int
    block: str = "rsbu-cw"

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have.

        Raises:
            TrainingError: Naming the field and what it may be.
        """
        if self.block not in BLOCK_KINDS:
            raise TrainingError(f"Expected a block kind among {', '.join(BLOCK_KINDS)}, got {self.block!r}.")
        if not self.stages:
            raise TrainingError("Expected at least one stage in the network, got none.")
        sizes = [getattr(self, name) for name in _SIZES] + [n for s in self.stages for n in (s.channels, s.blocks)]
        if min(sizes) < 1 or min(s.stride for s in self.stages) < 1:
            raise TrainingError("Expected every size of the network to be at least 1.")
        widths = [self.stem_channels, *(stage.channels for stage in self.stages)]
        if widths != sorted(widths):
            raise TrainingError(f"Expected widths that never shrink, as the identity only adds channels, got {widths}.")
        if self.n_classes < 2:
            raise TrainingError(f"Expected at least 2 classes to tell apart, got {self.n_classes}.")
        if self.window < self.total_stride:
            raise TrainingError(
                f"Expected a window of at least {self.total_stride} samples for this network, got {self.window}."
            )

    @property
    def total_stride(self) -> int:
        """Samples of the input per step of the last feature map."""
        total = self.stem_stride
        for stage in self.stages:
            total *= stage.stride
        return total


_SIZES = ("window", "n_axes", "n_classes", "stem_channels", "stem_kernel", "stem_stride", "kernel")

PRESETS: Mapping[str, DrsnConfig] = {
    "nano": DrsnConfig(1024, 1, 10, 8, 11, 8, (Stage(8, 1, 2), Stage(16, 1, 2), Stage(32, 1, 2)), 3),
    "small": DrsnConfig(1024, 1, 10, 16, 15, 4, (Stage(16, 1, 2), Stage(32, 1, 2), Stage(64, 1, 2)), 3),
    "base": DrsnConfig(1024, 1, 10, 32, 31, 4, (Stage(32, 1, 2), Stage(64, 2, 2), Stage(80, 2, 2)), 3),
}
"""Named networks at the sizes an edge gateway wants; `preset` fits one to a data set."""


def preset(name: str, *, window: int, n_axes: int, n_classes: int, block: str = "rsbu-cw") -> DrsnConfig:
    """Return the named preset for one data set.

    Raises:
        TrainingError: If there is no such preset, or the window is too short for it.
    """
    if name not in PRESETS:
        raise TrainingError(f"Expected a network among {', '.join(PRESETS)}, got {name!r}.")
    return replace(PRESETS[name], window=window, n_axes=n_axes, n_classes=n_classes, block=block)


def _convolutions(config: DrsnConfig) -> Iterator[tuple[int, int, int, int]]:
    """Yield (output steps, kernel, channels in, channels out) of every convolution but the fixed shortcuts."""
    steps = -(-config.window // config.stem_stride)
    yield steps, config.stem_kernel, config.n_axes, config.stem_channels
    width = config.stem_channels
    for stage in config.stages:
        for index in range(stage.blocks):
            steps = -(-steps // (stage.stride if index == 0 else 1))
            yield steps, config.kernel, width, stage.channels
            yield steps, config.kernel, stage.channels, stage.channels
            width = stage.channels
            yield 1, 1, width, width
            yield 1, 1, width, width if config.block == "rsbu-cw" else 1
    yield 1, 1, width, config.n_classes


def count_macs(config: DrsnConfig) -> int:
    """Return the multiply-accumulates of one inference: convolutions, threshold subnets and the classifier.

    Fixed 0/1 shortcuts and elementwise operators are left out, as is usual; they are work for the processor all the
    same.
    """
    return sum(steps * kernel * c_in * c_out for steps, kernel, c_in, c_out in _convolutions(config))
