"""The TFLearn article's program: three shrinkage blocks with a narrow subnet, against the same network without them.

python examples/noisy_images.py --data mnist_t10k/
python examples/noisy_images.py --cifar10
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from command import Options, Program, run, shared_options
from experiment import Experiment

from drsn_edge.models.config import DrsnConfig, Stage

if TYPE_CHECKING:
    from digits import Split

NETWORK = DrsnConfig(
    window=28,
    height=28,
    n_axes=1,
    n_classes=10,
    stem_channels=16,
    stem_kernel=3,
    stem_stride=1,
    stages=(Stage(16, blocks=1, stride=1), Stage(32, blocks=1, stride=2), Stage(32, blocks=1, stride=2)),
    kernel=3,
    hidden_ratio=0.25,
)

DIGITS = Experiment(
    program="noisy_images.py",
    images="digits of 28 x 28",
    noise=0.1,
    network=NETWORK,
    blocks={"DRSN": "rsbu-cw", "ResNet": "residual"},
    pairs=(("DRSN", "ResNet"),),
)

CIFAR10 = replace(
    DIGITS,
    program="noisy_images.py --cifar10",
    images="CIFAR-10's images of 32 x 32",
    network=replace(NETWORK, window=32, height=32, n_axes=3),
)


@click.command(cls=Program)
@shared_options
@click.option("--cifar10", is_flag=True, help="Use CIFAR-10 as in the article; Keras downloads it (170 MB).")
def main(cifar10: bool, **options: Any) -> None:
    """Compare a shrinkage network with its ResNet twin on images with little noise (the TFLearn article).

    Three blocks have 16, 32 and 32 channels, and a quarter as many hidden units in their subnets. The images are
    digits, or with --cifar10 those of the article.

    \b
    Example:
      python examples/noisy_images.py --data mnist_t10k/
    """
    run(CIFAR10 if cifar10 else DIGITS, Options(**options), read_cifar10 if cifar10 else None)


def read_cifar10() -> Split:
    """Return CIFAR-10 with its original split, from Keras's cache or the network.

    Raises:
        ImagesError: If Keras cannot load it.
    """
    from digits import ImagesError, Split, as_images

    from drsn_edge.cli.progress import load_tensorflow

    load_tensorflow()
    from keras.datasets import cifar10

    try:
        with redirect_stdout(sys.stderr):  # Keras prints the progress of its download to stdout
            train, test = cifar10.load_data()
    except Exception as exc:  # Keras raises a bare Exception where a download fails
        raise ImagesError(
            f"Could not load CIFAR-10: {exc}. Connect to the network, or leave --cifar10 out.",
            "not_loaded",
            reason=str(exc),
        ) from exc
    return Split(as_images(*train), as_images(*test))


if __name__ == "__main__":
    main()
