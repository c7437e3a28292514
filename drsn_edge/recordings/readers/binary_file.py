"""Numbers without a header (.bin and .raw on request, .sigmf-data): samples one after the other.

Their form is stated beside them: in the catalogue, in a file of the same name that ends in .toml or .json, or in
SigMF's .sigmf-meta. The keys are those of a catalogue; `dtype` must be one of them.

    dtype = "<i2"                # int8 to int64, uint8 to uint64, float32, float64; < or > is the order of bytes
    axes = ["x", "y", "z"]
    sample_rate_hz = 12800
    unit = "g"
    scale = 0.000488             # unit per count
    skip_bytes = 0
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import RawRecording, Request, file_bytes, file_size, opened, reading
from drsn_edge.recordings.readers.interleaved import Columns, Decoder, Interleaved
from drsn_edge.support.toml_file import read_document
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable

_TYPES = {
    **{f"int{8 * width}": f"i{width}" for width in (1, 2, 4, 8)},
    **{f"uint{8 * width}": f"u{width}" for width in (1, 2, 4, 8)},
    "float32": "f4",
    "float64": "f8",
}
_SHORT = frozenset(_TYPES.values())
_SIGMF = {
    f"r{letter}{8 * width}{order}": f"{sign}{kind}{width}"
    for letter, kind, widths in (("i", "i", (2, 4)), ("u", "u", (2, 4)), ("f", "f", (4, 8)))
    for width in widths
    for order, sign in (("_le", "<"), ("_be", ">"))
} | {"ri8": "i1", "ru8": "u1"}
_FOR_THE_READER = ("dtype", "skip_bytes", "scale")
_MOST_SIDECAR_BYTES = 1 << 20


def read_binary(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a file without a header.

    Raises:
        RecordingError: If nothing states the type of its numbers, or something states it wrongly.
    """
    with opened(path) as file:
        size = file_size(file)
    stated, n_channels = _beside(path)
    known = {**stated, **request.values}
    if "dtype" not in known:
        raise _unknown_form(path)
    dtype = _dtype(str(known["dtype"]), path)
    axes = cast("tuple[str, ...]", stated.get("axes") or known.get("axes", ("",)))
    n_channels = n_channels or len(axes)
    skipped = cast(int, known.get("skip_bytes", 0))
    n_samples, rest = divmod(max(size - skipped, 0), dtype.itemsize * n_channels)
    samples = Interleaved(path, skipped, n_channels, n_samples, dtype.itemsize, _decoder(dtype, stated, request))
    own = {key: value for key, value in stated.items() if key not in _FOR_THE_READER}
    remarks = (_half_a_sample(rest, n_channels, dtype),) if rest else ()
    if "axes" not in own or LEFT_OUT not in axes:
        return [RawRecording(samples, own, remarks=remarks)]
    kept = [number for number, name in enumerate(axes) if name != LEFT_OUT]
    own["axes"] = tuple(axes[number] for number in kept)
    return [RawRecording(Columns(samples, tuple(kept)), own, remarks=remarks)]


def _decoder(dtype: np.dtype[np.generic], stated: Metadata, request: Request) -> Decoder:
    """Return what turns bytes into numbers, with the sidecar's scale; a catalogue's is applied to what was read."""
    scale = 1.0 if "scale" in request.values else cast(float, stated.get("scale", 1.0))
    if scale == 1.0:
        return lambda data: data.view(dtype)

    def scaled(data: NDArray[np.uint8]) -> NDArray[Any]:
        with np.errstate(all="ignore"):  # what is not finite is counted and refused later
            return np.asarray(data.view(dtype) * np.float64(scale))

    return scaled


def has_sidecar(path: Path) -> bool:
    """Tell whether a file beside this one states the form of its numbers."""
    return any(each.is_file() for each in _sidecars(path))


def _sidecars(path: Path) -> tuple[Path, ...]:
    names = [each for suffix in (".toml", ".json") for each in (path.with_suffix(suffix), Path(f"{path}{suffix}"))]
    return (path.with_suffix(".sigmf-meta"), *names)


def _half_a_sample(rest: int, n_channels: int, dtype: np.dtype[np.generic]) -> str:
    form = f"{counted(n_channels, 'channel')} of {dtype.name}"
    return f"The last {counted(rest, 'byte')} are no whole sample of {form} and are left out; check dtype and axes."


def _unknown_form(path: Path) -> RecordingError:
    sidecar = path.with_suffix(".toml")
    words = (
        f"{path} holds numbers without a header, and nothing states their form. Write {sidecar} with the lines dtype = "
        '"int16", axes = ["x", "y", "z"], sample_rate_hz = 12800, unit = "g" and scale = 0.001 (unit per count), as '
        "they are for your sensor; or state these keys in the catalogue."
    )
    return RecordingError(words, "no_dtype", path=path, advised=sidecar)


def _dtype(name: str, path: Path) -> np.dtype[np.generic]:
    """Return the type of a name such as `int16`, `<i2` or `>f4`; without an order of bytes, the low byte is first."""
    order, plain = (name[0], name[1:]) if name[:1] in ("<", ">") else ("<", name)
    short = plain if plain in _SHORT else _TYPES.get(plain)
    if short is None:
        words = (
            f"{path}: dtype must be one of {', '.join(_TYPES)}, with < or > in front for the order of bytes, got "
            f"{printable(name, 40)!r}. Correct it."
        )
        raise RecordingError(words, "wrong_dtype", path=path, got=name)
    return np.dtype(order + short)


def _beside(path: Path) -> tuple[Metadata, int | None]:
    """Return what the file beside a recording states, and the number of channels if it is stated apart."""
    for sidecar in _sidecars(path):
        if not sidecar.is_file():
            continue
        if sidecar.suffix == ".sigmf-meta":
            return _of_sigmf(sidecar, path)
        is_toml = sidecar.suffix == ".toml"
        values = read_document(sidecar, "a sidecar", RecordingError).values if is_toml else _json(sidecar)
        return {key: checked(key, value, str(sidecar)) for key, value in values.items()}, None
    return {}, None


def _json(path: Path) -> Mapping[str, object]:
    with reading(path, "a JSON object"):
        content = json.loads(file_bytes(path, _MOST_SIDECAR_BYTES).decode("utf-8-sig"))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    return content


def _of_sigmf(meta: Path, path: Path) -> tuple[Metadata, int | None]:
    document = _json(meta).get("global")
    values = document if isinstance(document, dict) else {}
    datatype = str(values.get("core:datatype", ""))
    if datatype not in _SIGMF:
        words = (
            f"{meta}: core:datatype must be that of real numbers ({', '.join(_SIGMF)}), got "
            f"{printable(datatype, 40)!r}. Complex samples are no vibration."
        )
        raise RecordingError(words, "wrong_dtype", path=path, got=datatype)
    stated: dict[str, MetadataValue] = {"dtype": _SIGMF[datatype]}
    if "core:sample_rate" in values:
        stated["sample_rate_hz"] = checked("sample_rate_hz", values["core:sample_rate"], str(meta))
    n_channels = values.get("core:num_channels", 1)
    if not isinstance(n_channels, int) or isinstance(n_channels, bool) or not 0 < n_channels <= 4096:
        words = f"{meta}: core:num_channels must be a whole number above 0. Correct it there."
        raise RecordingError(words, "wrong_value", place=meta, key="core:num_channels", got=printable(n_channels, 40))
    return stated, n_channels
