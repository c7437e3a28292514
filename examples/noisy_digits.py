"""The Keras article's program: noisy digits, one residual shrinkage block, against the same network without shrinkage.

python examples/noisy_digits.py --data mnist_t10k/
"""

from __future__ import annotations

from typing import Any

import click
from command import Options, Program, run, shared_options
from experiment import Experiment

from drsn_edge.models.config import DrsnConfig, Stage

NETWORK = DrsnConfig(
    window=28,
    height=28,
    n_axes=1,
    n_classes=10,
    stem_channels=8,
    stem_kernel=3,
    stem_stride=1,
    stages=(Stage(channels=8, blocks=1, stride=2),),
    kernel=3,
)

EXPERIMENT = Experiment(
    program="noisy_digits.py",
    images="digits of 28 x 28",
    noise=0.5,
    network=NETWORK,
    blocks={"DRSN": "rsbu-cw", "ResNet": "residual"},
    pairs=(("DRSN", "ResNet"),),
    allowed_loss_points=0.5,
)


@click.command(cls=Program)
@shared_options
def main(**options: Any) -> None:
    """Compare a shrinkage network with its ResNet twin on noisy digits (the Keras article).

    The block has 8 channels and stride 2. Each pixel has uniform noise of up to half of white, drawn once per image.

    \b
    Example:
      python examples/noisy_digits.py --data mnist_t10k/
    """
    run(EXPERIMENT, Options(**options))


if __name__ == "__main__":
    main()
