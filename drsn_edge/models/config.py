"""A network of the family as a plain value, the presets, and the cost of a network. Needs no Keras."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from drsn_edge.errors import TrainingError

BLOCK_KINDS = ("rsbu-cw", "rsbu-cs", "se", "residual", "plain")
"""Kinds of block: residual shrinkage building units with channel-wise (rsbu-cw) and channel-shared thresholds
(rsbu-cs).

The other kinds serve as comparisons: squeeze-and-excitation (se), the same residual block without thresholds or
excitation (residual), and the same convolutions without the identity (plain)."""


POOLINGS = ("average", "none")

SUBNET_OUTPUTS = {"rsbu-cw": 0, "rsbu-cs": 1, "se": 0}
"""Number of outputs of the subnet by kind of block; 0 stands for one per channel. Other kinds have no subnet."""


def check_choice(setting: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise TrainingError unless the value of a setting is one of its choices."""
    if value not in choices:
        raise TrainingError(
            f"{setting} must be one of {', '.join(choices)}, got {value!r}.",
            "unknown_choice",
            setting=setting,
            got=value,
            choices=choices,
        )


@dataclass(frozen=True)
class Stage:
    """Blocks with the same number of channels; the first block strides in time."""

    channels: int
    blocks: int
    stride: int


@dataclass(frozen=True)
class DrsnConfig:
    """One network of the family.

    Attributes:
        window: Samples per window, the input's time axis.
        n_axes: Accelerometer axes, the input's channels.
        n_classes: Classes, the number of logits.
        stem_channels: Filters of the first convolution.
        stem_kernel: Length of the first convolution in samples; a long one can act as a filter bank against noise.
        stem_stride: Stride of the first convolution in samples.
        stages: The residual stages in order.
        kernel: Length of the convolutions inside a block, in steps of its input.
        block: One of `BLOCK_KINDS`.
        hidden_ratio: Hidden units of the threshold or excitation subnet, relative to the block's channels.
        height: Rows of the input: 1 for a signal; above 1 for an image of height x window, with square kernels and
            strides.
        pooling: "average" over time, as in the paper, for a signal that looks the same wherever its window begins;
            "none" for spectra, where each position is a frequency: the classifier then weighs each step by itself.
        dropout: Share of the last features that a training step leaves out, 0 to below 1.
        branches: Number of input channels of each branch, in order; their sum is `n_axes`. A branch is a whole trunk
            that sees its own channels alone. The logits are the weighted mean of those of the branches. Empty: one
            trunk sees all channels.
        weights: Weight of each branch in the logits, above 0; their sum does not matter. Empty: equal weights.
        discriminants: Whether the logits of a linear discriminant on the same channels are added to those of each
            branch; it is fitted in closed form, see `drsn_edge.training.discriminant`.
        subclasses: Subclasses of each class, each with logits of its own; the logit of a class is the highest of them.
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
    hidden_ratio: float = 1.0
    height: int = 1
    pooling: str = "average"
    dropout: float = 0.0
    branches: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    discriminants: bool = False
    subclasses: int = 1

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have.

        Raises:
            TrainingError: If a size is impossible; the error names it and its range.
        """
        self._check_choices()
        if not self.stages:
            raise TrainingError("The network has no stage. Add at least one to stages.", "no_stage")
        for name, size in self._sizes():
            if size < 1:
                raise TrainingError(
                    f"{name} of the network must be at least 1, got {size}.", "out_of_range", setting=name, got=size
                )
        self._check_widths()
        if self.n_classes < 2:
            raise TrainingError(
                f"The network needs at least 2 classes, got {self.n_classes}.", "too_few_classes", got=self.n_classes
            )
        if min(self.window, self.height if self.height > 1 else self.window) < self.total_stride:
            raise TrainingError(
                f"This network needs a window of at least {self.total_stride} samples, got {self.window}"
                f"{f' x {self.height}' if self.height > 1 else ''}. Choose a longer window, or a smaller network.",
                "window_too_short",
                least=self.total_stride,
                got=self.window,
            )

    def _check_widths(self) -> None:
        widths = [self.stem_channels, *(stage.channels for stage in self.stages)]
        if widths != sorted(widths):
            raise TrainingError(
                f"The network has {widths} channels from stem to last stage, but the number must never fall: its "
                "identity shortcuts can only add channels.",
                "falling_widths",
                got=widths,
            )

    def _check_choices(self) -> None:
        check_choice("block", self.block, BLOCK_KINDS)
        check_choice("pooling", self.pooling, POOLINGS)
        if not 0 <= self.dropout < 1:
            raise TrainingError(
                f"dropout must be from 0 to below 1, got {self.dropout}.",
                "out_of_range",
                setting="dropout",
                got=self.dropout,
            )
        if self.branches and (min(self.branches) < 1 or sum(self.branches) != self.n_axes):
            raise TrainingError(
                f"The branches must have {self.n_axes} channels in total, got {self.branches}.",
                "branch_channels",
                expected=self.n_axes,
                got=self.branches,
            )
        if self.weights and (len(self.weights) != len(self.branches) or not min(self.weights) > 0):
            raise TrainingError(
                f"The network has {len(self.branches)} branches and needs one weight above 0 for each, got "
                f"{self.weights}.",
                "branch_weights",
                branches=len(self.branches),
                got=self.weights,
            )
        if not 0 < self.hidden_ratio <= 16:
            raise TrainingError(
                f"hidden_ratio must be above 0 and at most 16, got {self.hidden_ratio}.",
                "out_of_range",
                setting="hidden_ratio",
                got=self.hidden_ratio,
            )

    @property
    def fusion(self) -> tuple[float, ...]:
        """Share of each branch in the logits."""
        weights = self.weights or (1.0,) * max(1, len(self.branches))
        return tuple(weight / sum(weights) for weight in weights)

    def _sizes(self) -> Iterator[tuple[str, int]]:
        yield from ((name, getattr(self, name)) for name in _SIZES)
        for stage in self.stages:
            yield from ((f"{name} of each stage", size) for name, size in vars(stage).items())

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Channels and stride of each block, in order."""
        return tuple((s.channels, s.stride if index == 0 else 1) for s in self.stages for index in range(s.blocks))

    def extent(self, size: int) -> tuple[int, int]:
        """Return the (height, time) of a kernel or stride of this size: along time only, or square for images."""
        return (1 if self.height == 1 else size, size)

    def hidden_units(self, channels: int) -> int:
        """Return the number of hidden units of the subnet of a block with this number of channels."""
        return max(1, round(channels * self.hidden_ratio))

    @property
    def total_stride(self) -> int:
        """Samples of the input per step of the last feature map."""
        total = self.stem_stride
        for stage in self.stages:
            total *= stage.stride
        return total


@dataclass(frozen=True)
class NetworkSizes:
    """The sizes of a custom network: those of `DrsnConfig` that follow neither from the data nor from the block kind.

    Attributes:
        stem_channels: Filters of the first convolution.
        stem_kernel: Length of the first convolution, in samples.
        stem_stride: Stride of the first convolution, in samples.
        stages: Residual stages in order, each `[channels, blocks, stride]`.
        kernel: Length of the convolutions inside a block, in samples.
        hidden_ratio: Hidden units of the threshold's subnet, relative to the channels of the block.
        pooling: `average` over time, or `none`: each step has weights of its own, as spectra need it.
        dropout: Share of the last features that a training step leaves out.
    """

    stem_channels: int
    stem_kernel: int
    stem_stride: int
    stages: tuple[Stage, ...]
    kernel: int
    hidden_ratio: float = 1.0
    pooling: str = "average"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have with any window; raises TrainingError."""
        strides = [self.stem_stride, *(stage.stride for stage in self.stages)]
        fitted(self, window=max(1, math.prod(strides)), n_axes=1, n_classes=2)


def fitted(sizes: NetworkSizes, *, window: int, n_axes: int, n_classes: int, block: str = "rsbu-cw") -> DrsnConfig:
    """Return the network with these sizes for one data set.

    Raises:
        TrainingError: If a size is impossible, or the window is too short for the network.
    """
    return DrsnConfig(window=window, n_axes=n_axes, n_classes=n_classes, block=block, **vars(sizes))


_SIZES = (
    "window",
    "height",
    "n_axes",
    "n_classes",
    "stem_channels",
    "stem_kernel",
    "stem_stride",
    "kernel",
    "subclasses",
)

PRESETS: Mapping[str, DrsnConfig] = {
    "nano": DrsnConfig(1024, 1, 10, 8, 11, 8, (Stage(8, 1, 2), Stage(16, 1, 2), Stage(32, 1, 2)), 3),
    "small": DrsnConfig(1024, 1, 10, 16, 15, 4, (Stage(16, 1, 2), Stage(32, 1, 2), Stage(64, 1, 2)), 3),
    "paper": DrsnConfig(2048, 1, 8, 4, 3, 2, (Stage(4, 4, 2), Stage(8, 4, 2), Stage(16, 4, 2)), 3),
    "spectral": DrsnConfig(128, 1, 10, 16, 5, 1, (Stage(16, 1, 2), Stage(32, 1, 2)), 3, pooling="none", dropout=0.5),
    "spectral-dense": DrsnConfig(128, 1, 10, 128, 128, 128, (Stage(128, 2, 1),), 1, pooling="none", dropout=0.3),
    "base": DrsnConfig(1024, 1, 10, 32, 31, 4, (Stage(32, 1, 2), Stage(64, 2, 2), Stage(80, 2, 2)), 3),
}
"""Named networks in sizes that suit an edge gateway, and the paper's network (Zhao et al. 2020, table II, one axis).

`preset` fits one to a data set. Two are for log spectra: `spectral` shares its kernels along the lines; the filters of
`spectral-dense` see all 128 lines at once, so that each line has its own weight."""


def preset(name: str, *, window: int, n_axes: int, n_classes: int, block: str = "rsbu-cw") -> DrsnConfig:
    """Return the named preset for one data set.

    Raises:
        TrainingError: If `name` is not a preset, or the window is too short for it.
    """
    check_choice("network", name, tuple(PRESETS))
    return replace(PRESETS[name], window=window, n_axes=n_axes, n_classes=n_classes, block=block)


def _convolutions(config: DrsnConfig) -> Iterator[tuple[int, int, int, int]]:
    """Yield (output positions, kernel positions, channels in, channels out) of every convolution except shortcuts."""
    for _ in config.fusion:
        yield from _trunk_convolutions(config)
        if config.discriminants:
            yield 1, config.height * config.window, config.n_axes, config.subclasses * config.n_classes


def _trunk_convolutions(config: DrsnConfig) -> Iterator[tuple[int, int, int, int]]:
    shape = _strided((config.height, config.window), config.extent(config.stem_stride))
    yield math.prod(shape), math.prod(config.extent(config.stem_kernel)), config.n_axes, config.stem_channels
    width, kernel = config.stem_channels, math.prod(config.extent(config.kernel))
    for channels, stride in config.blocks:
        shape = _strided(shape, config.extent(stride))
        yield math.prod(shape), kernel, width, channels
        yield math.prod(shape), kernel, channels, channels
        width = channels
        if config.block in SUBNET_OUTPUTS:
            yield 1, 1, width, config.hidden_units(width)
            yield 1, 1, config.hidden_units(width), SUBNET_OUTPUTS[config.block] or width
    yield 1, math.prod(shape) if config.pooling == "none" else 1, width, config.subclasses * config.n_classes


def _strided(shape: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    return -(-shape[0] // stride[0]), -(-shape[1] // stride[1])


def count_macs(config: DrsnConfig) -> int:
    """Return the multiply-accumulates of the trained network for one window: convolutions, subnets and classifier.

    Fixed 0/1 shortcuts and elementwise operators do not count, as in most publications. The int8 file computes more:
    `quantize.inspection.count_macs` counts its operators.
    """
    return sum(math.prod(factors) for factors in _convolutions(config))
