"""The sentence of a stopped training: how to resume it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def says_how_to_resume(work: Path, search: Path | None = None) -> Iterator[None]:
    """Turn Ctrl-C into an error that tells how to resume.

    Args:
        work: Work folder of the training.
        search: Work folder of the search before it; None: there can be none.
    """
    from drsn_edge.errors import TrainingError
    from drsn_edge.search.store import has_search
    from drsn_edge.training.checkpoint import has_checkpoint

    try:
        yield
    except KeyboardInterrupt as exc:
        kept = has_checkpoint(work)
        resume = f"Its complete epochs are kept in {work}. Run the same command with --resume to continue."
        again = "Its first epoch was not complete, so nothing was kept. Run the command again to start over."
        if search is not None and has_search(search):
            again = "Its first epoch was not complete. The search is kept: run the same command with --resume."
        raise TrainingError(
            f"The training was stopped. {resume if kept else again}", "stopped", path=work, kept=kept
        ) from exc
