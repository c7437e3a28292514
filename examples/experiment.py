"""The comparison of an example, as a plain value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drsn_edge.models.config import DrsnConfig


@dataclass(frozen=True)
class Experiment:
    """A comparison of networks that differ in their kind of block only.

    Attributes:
        program: Name of the example.
        images: Description of the images.
        noise: Highest value of the uniform noise; a pixel without noise is at most 1.
        network: Configuration that all networks share.
        blocks: Kind of block by name of the network.
        pairs: Names of networks whose differences, first - second, are reported.
        allowed_loss_points: Highest loss of the first pair, in points, if its interval does not include 0.
    """

    program: str
    images: str
    noise: float
    network: DrsnConfig
    blocks: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]
    allowed_loss_points: float | None = None
