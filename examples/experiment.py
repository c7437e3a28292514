"""What an example compares, as a plain value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drsn_edge.models.config import DrsnConfig


@dataclass(frozen=True)
class Experiment:
    """One comparison of networks that differ in their kind of block only.

    Attributes:
        program: Name of the example.
        images: What the images are, for people.
        noise: Largest value of the uniform noise; a pixel without noise is at most 1.
        network: What all networks have in common.
        blocks: Kind of block by name of the network.
        pairs: Names of the networks whose difference, first - second, is of interest.
        allowed_loss_points: How far the first pair's difference may lie below 0 if its interval leaves 0 out.
    """

    program: str
    images: str
    noise: float
    network: DrsnConfig
    blocks: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]
    allowed_loss_points: float | None = None
