"""The work folder of a search: the result of each job, so that a stopped search continues where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge import __version__
from drsn_edge.errors import OutputError, TrainingError
from drsn_edge.search.logits import FoldLogits
from drsn_edge.support.arrays import archive_of
from drsn_edge.support.files import write_file
from drsn_edge.support.json_text import json_text

PLAN = "plan.json"
_SAME = "Resume with the same recordings and settings, or start again with --force."


class Store:
    """Results of jobs by name, in a folder."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, which `begin` creates."""
        self._folder = folder

    def begin(self, plan: Mapping[str, Any], *, resume: bool) -> None:
        """Prepare for a search of this plan; without `resume` remove the rest of an earlier one.

        Raises:
            TrainingError: If the search to resume has another plan or is damaged.
            OutputError: If the folder cannot be made.
        """
        if not resume:
            remove_search(self._folder)
        elif has_search(self._folder) and self._plan() != _digest(plan):
            raise TrainingError(
                f"The stopped search in {self._folder} had other recordings, settings or candidates. {_SAME}",
                "other_search",
                path=self._folder,
            )
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as exc:
            raise OutputError(
                f"Could not make the folder {self._folder}: {exc.strerror}. Choose another --out.",
                "cannot_make_folder",
                path=self._folder,
                reason=exc.strerror,
            ) from exc
        write_file(self._folder / PLAN, json_text({"plan": _digest(plan), "version": __version__}).encode())

    def _plan(self) -> str:
        try:
            return str(json.loads((self._folder / PLAN).read_text(encoding="utf-8"))["plan"])
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise TrainingError(
                f"The stopped search in {self._folder} is damaged: {exc}. Start again with --force.",
                "damaged",
                path=self._folder,
            ) from exc

    def get(self, name: str) -> FoldLogits | None:
        """Return a result; None if it is missing or damaged, so that its job runs again."""
        try:
            with np.load(self._folder / f"{name}.npz", allow_pickle=False) as file:
                return FoldLogits(int(file["fold"]), file["rows"], file["logits"])
        except Exception:  # zipfile, zlib and NumPy raise different errors for damaged files
            return None

    def put(self, name: str, result: FoldLogits) -> None:
        """Keep a result.

        Raises:
            OutputError: If it cannot be written.
        """
        data = archive_of(fold=np.int64(result.fold), rows=result.rows, logits=result.logits)
        write_file(self._folder / f"{name}.npz", data)


def search_folder(out: Path) -> Path:
    """Return the work folder of a search whose result goes to `out`."""
    target = out.resolve()
    return target.with_name(f"{target.name}.search")


def has_search(folder: Path) -> bool:
    """Return whether a folder holds a search to resume."""
    return (folder / PLAN).is_file()


def check_search_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse a search that would overwrite another one.

    Raises:
        TrainingError: If a stopped search would be lost.
        OutputError: If something else is in its place.
    """
    if not folder.is_dir():
        is_other = folder.exists() or folder.is_symlink()
    else:
        is_other = not has_search(folder) and any(folder.iterdir())
    if is_other:
        raise OutputError(
            f"{folder} holds something else. Move it, or choose another --out.", "holds_something_else", path=folder
        )
    if has_search(folder) and not (resume or force):
        raise TrainingError(
            f"{folder} holds a search that was stopped before its end. Continue it with --resume, or start again with "
            "--force.",
            "stopped_search",
            path=folder,
        )


def remove_search(folder: Path) -> None:
    """Remove the work folder of a search; other folders stay."""
    if has_search(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _digest(plan: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()
