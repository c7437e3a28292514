"""What a training that was stopped says: how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def says_how_to_resume(work: Path) -> Iterator[None]:
    """Turn Ctrl-C into an error that says how to go on."""
    from drsn_edge.errors import TrainingError
    from drsn_edge.training.checkpoint import has_checkpoint

    try:
        yield
    except KeyboardInterrupt as exc:
        kept = f"The whole epochs are kept in {work}: go on with the same command and --resume."
        lost = "It was stopped before its first epoch ended: begin again."
        raise TrainingError(f"The training was stopped. {kept if has_checkpoint(work) else lost}") from exc
