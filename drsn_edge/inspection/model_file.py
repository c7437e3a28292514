"""The file to inspect: a bundle or a bare .tflite file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drsn_edge.bundle.bundle import MAX_BUNDLE_BYTES, MAX_MEMBER_BYTES, REPORT, Bundle, network_of, read_bundle
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.inspection.text import report_text
from drsn_edge.support.fields import parsed
from firmware_bridge.support.regular_file import read_regular
from firmware_bridge.support.shown import printable
from quantize.tflite.file import read_model

if TYPE_CHECKING:
    from drsn_edge.training.run_folder import RunRecord  # needs packages that a gateway lacks

REPORT_TYPE = "inspection"
_TFLITE, _ZIP = b"TFL3", b"PK"


@dataclass(frozen=True)
class Inspected:
    """A file to inspect.

    Attributes:
        name: Name of the file, without its folder.
        model: Bytes of the .tflite file; None: the bundle has no network.
        bundle: Bundle that holds the model; None for a .tflite file.
    """

    name: str
    model: bytes | None
    bundle: Bundle | None

    def network(self, so: str) -> bytes:
        """Return the bytes of the .tflite file of a file that must have one; see `network_of`."""
        if self.model is not None:
            return self.model
        assert self.bundle is not None
        return network_of(self.bundle, so)

    @property
    def kind(self) -> str:
        """Kind of the file in words, with name and version of a bundle."""
        if self.bundle is None:
            return "tflite file"
        return f"bundle {self.bundle.manifest.name} {self.bundle.manifest.version}"


def load_inspected(path: Path) -> Inspected:
    """Read a bundle or a .tflite file; their bytes distinguish them.

    Raises:
        BundleError: If the file cannot be read, is neither of the two, or is a damaged bundle.
        ModelFileError: If the model is damaged.
    """
    try:
        data = read_regular(path, MAX_BUNDLE_BYTES)
    except OSError as exc:
        problem = "missing" if isinstance(exc, FileNotFoundError) else "unreadable"
        why = exc.strerror or str(exc)
        words = f"Could not read {path}: {why}. Name a .drsn bundle or a .tflite file."
        raise BundleError(words, problem, path=path, reason=why) from exc
    if data.startswith(_ZIP):
        bundle = read_bundle(path)
        if bundle.model is not None:
            read_model(bundle.model)
        return Inspected(printable(path.name), bundle.model, bundle)
    if data[4:8] != _TFLITE or len(data) > MAX_MEMBER_BYTES:
        raise BundleError(
            f"{path} is neither a .drsn bundle nor a .tflite file of at most {MAX_MEMBER_BYTES} bytes. Make a bundle "
            "with `drsn-edge convert`.",
            "not_a_model",
            path=path,
            limit=MAX_MEMBER_BYTES,
        )
    read_model(data)
    return Inspected(printable(path.name), data, None)


def own_report(inspected: Inspected) -> dict[str, Any] | None:
    """Return the report that a bundle holds about its model; None if it holds none.

    Raises:
        BundleError: If the member is not an inspection report.
    """
    if inspected.bundle is None or REPORT not in inspected.bundle.extras:
        return None
    try:
        values = parsed(inspected.bundle.extras[REPORT])
        if values["type"] != REPORT_TYPE or not isinstance(values["schema"], int):
            raise ValueError(f"a report of type {values['type']!r}")
        report_text(values)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise BundleError(
            f"{REPORT} of {inspected.name} is not an inspection report: {exc!r}. Convert the run again.",
            "not_a_report",
            bundle=inspected.name,
            reason=repr(exc),
        ) from exc
    return dict(values)


def check_run(inspected: Inspected, run: RunRecord, folder: Path) -> None:
    """Check that the model was converted from a run with these windows, contract and labels.

    Raises:
        ContractError: If it was not.
        BundleError: If the bundle has no network.
    """
    bundle = inspected.bundle
    ours = (bundle.manifest.contract, bundle.manifest.labels) if bundle else (run.contract, run.labels)
    file = read_model(inspected.network("no int8 model can be measured on the windows of a run. Leave --run out"))
    shapes = [file.tensors[index].shape for index in (*file.inputs[:1], *file.outputs[:1]) if index >= 0]
    expected = [(1, 1, *run.contract.input_shape), (1, len(run.labels))]
    if shapes != expected or ours != (run.contract, run.labels):
        raise ContractError(
            f"{inspected.name} was not converted from the run {folder}: their windows, contracts or labels differ (the "
            f"run has input and output {expected}, the file {shapes}). Name its run with --run.",
            "other_run",
            model=inspected.name,
            path=folder,
            expected=expected,
            got=shapes,
        )
