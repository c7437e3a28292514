"""The file to inspect: a bundle or a bare .tflite file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drsn_edge.bundle.bundle import MAX_BUNDLE_BYTES, MAX_MEMBER_BYTES, REPORT, Bundle, read_bundle
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.inspection.text import report_text
from drsn_edge.support.fields import parsed
from firmware_bridge.support.regular_file import read_regular
from firmware_bridge.support.shown import printable
from quantize.tflite.file import read_model

if TYPE_CHECKING:
    from drsn_edge.training.run_folder import RunRecord  # pulls in what a gateway has not

REPORT_TYPE = "inspection"
_TFLITE, _ZIP = b"TFL3", b"PK"


@dataclass(frozen=True)
class Inspected:
    """A file to inspect.

    Attributes:
        name: Of the file, without its folder.
        model: The .tflite file.
        bundle: The bundle that holds it, None where it stands alone.
    """

    name: str
    model: bytes
    bundle: Bundle | None

    @property
    def kind(self) -> str:
        """In words."""
        if self.bundle is None:
            return "tflite file"
        return f"bundle {self.bundle.manifest.name} {self.bundle.manifest.version}"


def load_inspected(path: Path) -> Inspected:
    """Read a bundle or a .tflite file, told apart by their bytes.

    Raises:
        BundleError: If it cannot be read, or is neither, or a damaged bundle.
        ModelFileError: If the model in it is damaged.
    """
    try:
        data = read_regular(path, MAX_BUNDLE_BYTES)
    except OSError as exc:
        raise BundleError(f"Expected a .tflite file or a bundle at {path}: {exc.strerror}.") from exc
    if data.startswith(_ZIP):
        bundle = read_bundle(path)
        read_model(bundle.model)
        return Inspected(printable(path.name), bundle.model, bundle)
    if data[4:8] != _TFLITE or len(data) > MAX_MEMBER_BYTES:
        raise BundleError(
            f"Expected a .tflite file or a .drsn bundle of at most {MAX_MEMBER_BYTES} bytes, got {path}, which is "
            "neither. Make one with `drsn-edge convert`."
        )
    read_model(data)
    return Inspected(printable(path.name), data, None)


def own_report(inspected: Inspected) -> dict[str, Any] | None:
    """Return the report that a bundle carries about its model, None where it carries none.

    Raises:
        BundleError: If there is one that is no such report.
    """
    if inspected.bundle is None or REPORT not in inspected.bundle.extras:
        return None
    try:
        values = parsed(inspected.bundle.extras[REPORT])
        if values["type"] != REPORT_TYPE or not isinstance(values["schema"], int):
            raise ValueError(f"a report of type {values['type']!r}")
        report_text(values)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise BundleError(f"Expected a report in {REPORT} of {inspected.name}, got other values: {exc!r}.") from exc
    return dict(values)


def check_run(inspected: Inspected, run: RunRecord, folder: Path) -> None:
    """Raise ContractError unless the windows of a run are what the model was made for."""
    bundle = inspected.bundle
    ours = (bundle.manifest.contract, bundle.manifest.labels) if bundle else (run.contract, run.labels)
    file = read_model(inspected.model)
    shapes = [file.tensors[index].shape for index in (*file.inputs[:1], *file.outputs[:1]) if index >= 0]
    expected = [(1, 1, *run.contract.input_shape), (1, len(run.labels))]
    if shapes != expected or ours != (run.contract, run.labels):
        raise ContractError(
            f"Expected the run that {inspected.name} was converted from, got {folder}: its windows, contract or labels "
            f"are others (input and output {expected}, the file has {shapes}). Choose another --run."
        )
