"""Progress bars on stderr for work that takes longer than two seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from drsn_edge.errors import TrainingError
from quantize.quiet import quiet_native_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from drsn_edge.training.epochs import EpochReport


@contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that moves a bar titled `what`. Without rich, no bar is shown."""
    with stages_bar(what) as bar:
        yield lambda done, total: bar(what, done, total)


@contextmanager
def stages_bar(first: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function of (what, done, total) that moves a bar, titled with what is being done, at first `first`."""
    try:
        from rich.progress import Progress
    except ImportError:
        yield lambda what, done, total: None
        return
    console = _stderr()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(first, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


@contextmanager
def bytes_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (bytes done, bytes in total) that moves a bar with rate and time left.

    Without rich, as on a gateway, no bar is shown.
    """
    try:
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
    except ImportError:
        yield lambda done, total: None
        return
    console = _stderr()
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Show that `what` is in progress, where the share that is done is not known."""
    with _stderr().status(what):
        yield


def load_keras() -> None:
    """Import Keras with the backend of KERAS_BACKEND, by default TensorFlow.

    Raises:
        ModuleNotFoundError: If the extra `train` is not installed.
        TrainingError: If the backend cannot be loaded.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        load_tensorflow()
        return
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as exc:
        if getattr(exc, "name", None) == "keras":
            raise
        raise TrainingError(
            f"Keras could not load its backend {backend}, which KERAS_BACKEND names: {exc}. "
            f"Install {backend}, or unset KERAS_BACKEND.",
            "no_backend",
            backend=backend,
        ) from exc


def load_tensorflow() -> None:
    """Import TensorFlow, which takes seconds, without the log lines of its import and first operation.

    From then on Keras uses TensorFlow, whatever KERAS_BACKEND says, because only TensorFlow converts to TFLite.

    Raises:
        ModuleNotFoundError: If the extra `train` is not installed.
    """
    from rich.console import Console

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet_native_stderr() as terminal, Console(file=terminal).status("loading TensorFlow"):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.zeros(1)


@contextmanager
def training_bar() -> Iterator[Callable[[EpochReport], None]]:
    """Yield a function of an EpochReport that moves a bar over all epochs and shows loss and accuracies.

    The bar appears with the first report, so that a refused split leaves no empty bar behind.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = _stderr()
    bar = Progress(*columns, TextColumn("{task.fields[scores]}"), console=console, disable=not console.is_terminal)
    task = bar.add_task("training", total=None, scores="")
    validation = ""

    def show(report: EpochReport) -> None:
        nonlocal validation
        bar.start()
        if report.validation_accuracy is not None:
            validation = f"  validation {report.validation_accuracy:.3f}"
        bar.update(
            task,
            completed=(report.epoch - 1) * report.steps + report.step,
            total=report.epochs * report.steps,
            description=f"epoch {report.epoch}/{report.epochs}",
            scores=f"loss {report.loss:.3f}  accuracy {report.accuracy:.3f}{validation}",
        )

    try:
        yield show
    finally:
        bar.stop()


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)
