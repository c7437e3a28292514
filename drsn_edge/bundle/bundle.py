"""The bundle file `.drsn`: a zip whose bytes depend on its content alone.

manifest.json    what the model means, and the SHA-256 of every other member
model.tflite     the int8 model
novelty.npz      what tells the trained from the new (`drsn_edge.novelty`); optional
report.json      what `drsn-edge inspect` found about it; optional, as are all further members
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from drsn_edge.bundle.manifest import Manifest, manifest_from_bytes, manifest_to_bytes
from drsn_edge.errors import BundleError
from drsn_edge.files import write_file

MANIFEST = "manifest.json"
MODEL = "model.tflite"
REPORT = "report.json"

MAX_MEMBERS = 64
MAX_MANIFEST_BYTES = 1 << 20
MAX_MEMBER_BYTES = 64 << 20
MAX_BUNDLE_BYTES = 128 << 20
_EXTRA_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date a zip can hold: members carry no time of their own."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose parts were checked against the manifest.

    Attributes:
        manifest: What the model means.
        model: The int8 .tflite file.
        extras: Further members by name; earlier and later versions may know others, or none.
    """

    manifest: Manifest
    model: bytes
    extras: Mapping[str, bytes] = field(default_factory=dict)


def with_extra(bundle: Bundle, name: str, data: bytes) -> Bundle:
    """Return the bundle with a further member, its digest in the manifest; one of that name is replaced.

    Raises:
        BundleError: If the name is no plain file name, or is taken by what every bundle has.
    """
    if not _EXTRA_NAME.fullmatch(name) or name in (MANIFEST, MODEL):
        raise BundleError(f"Expected a plain name for a further member of a bundle, got {name!r}. Choose another.")
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, name: sha256(data)})
    return replace(bundle, manifest=manifest, extras={**bundle.extras, name: data})


def sha256(data: bytes) -> str:
    """Return the SHA-256 of data in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def bundle_to_bytes(bundle: Bundle) -> bytes:
    """Return the bundle's file. The same bundle gives the same bytes: members are stored, in order, without dates.

    Raises:
        BundleError: If the manifest does not name the digest of each.
    """
    extras = dict(sorted(bundle.extras.items()))
    members = {MANIFEST: manifest_to_bytes(bundle.manifest), MODEL: bundle.model, **extras}
    _check_parts(bundle.manifest, members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def bundle_from_bytes(data: bytes) -> Bundle:
    """Return the bundle in a file's bytes, each part checked against its digest.

    Raises:
        BundleError: If it is not a bundle, is damaged, or is larger than a bundle may be.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _read_members(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as exc:
        raise BundleError(f"Expected a .drsn bundle (a zip), got other or damaged bytes: {exc}.") from exc
    if MANIFEST not in members or MODEL not in members:
        raise BundleError(f"Expected {MANIFEST} and {MODEL} in the bundle, got {', '.join(sorted(members)) or 'none'}.")
    manifest = manifest_from_bytes(members[MANIFEST])
    _check_parts(manifest, members)
    extras = {name: data for name, data in members.items() if name not in (MANIFEST, MODEL)}
    return Bundle(manifest, members[MODEL], extras)


def write_bundle(bundle: Bundle, path: Path) -> int:
    """Write the bundle to path, whole or not at all; return its size in bytes."""
    data = bundle_to_bytes(bundle)
    write_file(path, data)
    return len(data)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle file.

    Raises:
        BundleError: If it cannot be read or is not a bundle.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as exc:
        raise BundleError(f"Expected a bundle at {path}: {exc.strerror}. Make one with `drsn-edge convert`.") from exc
    try:
        if len(data) > MAX_BUNDLE_BYTES:
            raise BundleError(f"Expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, got a larger file.")
        return bundle_from_bytes(data)
    except BundleError as exc:
        raise BundleError(f"{path}: {exc}") from exc


def _read_members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if len(infos) > MAX_MEMBERS or len(set(names)) != len(names):
        raise BundleError(f"Expected at most {MAX_MEMBERS} different members in a bundle, got {len(infos)}.")
    for info in infos:
        limit = MAX_MANIFEST_BYTES if info.filename == MANIFEST else MAX_MEMBER_BYTES
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
            raise BundleError(f"Expected {info.filename} stored, of at most {limit} bytes; got {info.file_size}.")
    return {info.filename: archive.read(info) for info in infos}


def _check_parts(manifest: Manifest, members: dict[str, bytes]) -> None:
    parts = {name for name in members if name != MANIFEST}
    if parts != set(manifest.parts):
        raise BundleError(f"Expected the members {sorted(manifest.parts)} of the manifest, got {sorted(parts)}.")
    for name in parts:
        if sha256(members[name]) != manifest.parts[name]:
            raise BundleError(
                f"{name} does not have the SHA-256 of the manifest: the bundle is damaged. Copy it again."
            )
