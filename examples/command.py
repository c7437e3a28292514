"""The command line that the examples share. Heavy imports are inside the functions, so that --help is quick."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from experiment import Experiment

from drsn_edge.cli.main import shown
from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import print_text, print_values
from drsn_edge.errors import DrsnEdgeError
from drsn_edge.support.extras import missing_module

if TYPE_CHECKING:
    from comparison import Accuracies
    from digits import Split

SMOKE_IMAGES = 400
DATA_VARIABLE = "DRSN_EDGE_TEST_DATA"

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Program(click.Command):
    """Prints an error of drsn-edge as one line and ends with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the program."""
        try:
            return super().invoke(ctx)
        except DrsnEdgeError as exc:
            raise click.ClickException(shown(str(exc))) from exc
        except ModuleNotFoundError as exc:
            raise click.ClickException(
                missing_module(exc.name or "", "train") or f"{exc.name} is not installed."
            ) from exc


@dataclass(frozen=True)
class Options:
    """The options of an example.

    Attributes:
        data: Folder of the digits; None for the default.
        seeds: Number of trainings of each network, with the seeds 0, 1, ...
        epochs: Number of epochs of each training.
        smoke: Train on few images with one seed for one epoch, to check that the program runs.
        as_json: Print JSON.
    """

    data: Path | None
    seeds: int
    epochs: int
    smoke: bool
    as_json: bool


def shared_options(function: _Function) -> _Function:
    """Give a program the options of `Options`."""
    options = (
        click.option("--data", type=PathType, help=f"Folder of the digits.  [default: ${DATA_VARIABLE}/mnist_t10k]"),
        click.option(
            "--seeds",
            type=click.IntRange(1, 100),
            default=3,
            show_default=True,
            help="Number of trainings of each network.",
        ),
        click.option(
            "--epochs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Epochs of each training."
        ),
        click.option(
            "--smoke", is_flag=True, help=f"Check that the program runs: {SMOKE_IMAGES} images, 1 epoch, 1 seed."
        ),
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def run(experiment: Experiment, options: Options, read: Callable[[], Split] | None = None) -> None:
    """Train every network of an experiment for every seed and print the comparison.

    Args:
        experiment: Networks to compare.
        options: Options of the command line.
        read: Reads the images without noise; None: the digits.

    Raises:
        DrsnEdgeError: If the images cannot be used or a training diverges.
    """
    from comparison import as_json, as_text
    from digits import add_noise, shorten

    split = read() if read else _digits(options)
    if options.smoke:
        split, options = shorten(split, SMOKE_IMAGES), replace(options, seeds=1, epochs=1)
    accuracies = _train_all(experiment, add_noise(split, experiment.noise), options)
    if options.as_json:
        print_values({**_header(experiment, options, split), **as_json(experiment, accuracies)})
        return
    print_text(
        f"{experiment.images}, noise 0 to {experiment.noise:g}: {len(split.train)} to train on, {len(split.test)} to "
        f"test on, {options.epochs} epoch{'s' * (options.epochs > 1)}\n{as_text(experiment, accuracies)}"
    )


def _digits(options: Options) -> Split:
    from digits import ImagesError, read_digits, split_images

    shared = os.environ.get(DATA_VARIABLE)
    folder = options.data or (Path(shared) / "mnist_t10k" if shared else None)
    if folder is None:
        raise ImagesError(
            f"The folder of the digits is not known. Name it with --data, or set {DATA_VARIABLE}.", "no_folder"
        )
    return split_images(read_digits(folder))


def _train_all(experiment: Experiment, split: Split, options: Options) -> Accuracies:
    from drsn_edge.cli.progress import counting_bar, load_tensorflow

    load_tensorflow()
    from training import test_accuracy

    found: dict[str, list[float]] = {name: [] for name in experiment.blocks}
    total = options.seeds * len(found) * options.epochs
    done = count(1)
    with counting_bar(f"training {options.seeds} x {len(found)} networks") as bar:
        for seed in range(options.seeds):
            for name, block in experiment.blocks.items():
                network = replace(experiment.network, block=block)
                accuracy = test_accuracy(network, split, seed, options.epochs, lambda: bar(next(done), total))
                found[name].append(accuracy)
    return found


def _header(experiment: Experiment, options: Options, split: Split) -> dict[str, Any]:
    """Return the header of the figures, without the folder of the images, which differs from machine to machine."""
    from drsn_edge.jobs.versions import versions

    flags = "--smoke" if options.smoke else f"--seeds {options.seeds} --epochs {options.epochs}"
    return {
        "program": experiment.program,
        "command": f"python examples/{experiment.program} {flags}",
        "date": datetime.date.today().isoformat(),
        "versions": dict(versions()),
        "images": experiment.images,
        "noise": experiment.noise,
        "train_images": len(split.train),
        "test_images": len(split.test),
        "epochs": options.epochs,
        "seeds": list(range(options.seeds)),
    }
