"""The PyTorch article's program: one threshold for all channels, or one for each, on noisy digits.

python examples/shared_or_channel_wise.py --data mnist_t10k/
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
from command import Options, Program, run, shared_options
from noisy_digits import EXPERIMENT as NOISY_DIGITS

EXPERIMENT = replace(
    NOISY_DIGITS,
    program="shared_or_channel_wise.py",
    blocks={"CW": "rsbu-cw", "CS": "rsbu-cs", "ResNet": "residual"},
    pairs=(("CS", "ResNet"), ("CW", "ResNet"), ("CW", "CS")),
    allowed_loss_points=None,
)


@click.command(cls=Program)
@shared_options
def main(**options: Any) -> None:
    """Compare channel-shared (CS), channel-wise (CW) and no thresholds on noisy digits (the PyTorch article).

    Network and noise are those of noisy_digits.py. The article reports that shared thresholds gain nothing on images.

    \b
    Example:
      python examples/shared_or_channel_wise.py --data mnist_t10k/
    """
    run(EXPERIMENT, Options(**options))


if __name__ == "__main__":
    main()
