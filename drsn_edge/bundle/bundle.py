"""The bundle file `.drsn`: a zip whose bytes depend on its content alone.

manifest.json    what the model means, and the SHA-256 of every other member
model.tflite     the int8 model
golden.npz       windows with the logits that they give (`drsn_edge.bundle.golden`); optional
novelty.npz      what tells the trained from the new (`drsn_edge.signal.novelty`); optional
report.json      what `drsn-edge inspect` found about it; optional, as are all further members
manifest.sig     signature over manifest.json (`drsn_edge.bundle.signing`); the only one without a digest there

There is one file for a content, and a reader takes no other: what a zip may hold beside its members (comments, dates,
links, gaps, several of one name) cannot be there.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from drsn_edge.bundle.manifest import Manifest, manifest_from_bytes, manifest_to_bytes
from drsn_edge.errors import BundleDamagedError, BundleError, BundleLayoutError, BundleLimitError
from drsn_edge.support.files import write_file
from firmware_bridge.support.regular_file import FileTooLargeError, read_regular

MANIFEST = "manifest.json"
MODEL = "model.tflite"
REPORT = "report.json"
SIGNATURE = "manifest.sig"

MAX_MEMBERS = 64
MAX_MANIFEST_BYTES = 1 << 20
MAX_SIGNATURE_BYTES = 4096

MAX_REPORT_BYTES = 4 << 20
MAX_MEMBER_BYTES = 16 << 20
MAX_BUNDLE_BYTES = 32 << 20
"""A hundred times the largest network of `drsn-edge models`: whatever a bundle holds, a gateway has memory for it."""

_EXTRA_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date a zip can hold: members carry no time of their own."""

_END = struct.Struct("<4s4H2IH")  # of the central directory, APPNOTE.TXT 4.3.16; ours have no comment after it
assert _END.size == 22
_MAX_DIRECTORY_BYTES = MAX_MEMBERS * (46 + 256)


class Written(NamedTuple):
    """A manifest that was read, and its bytes, to which a later version may have written more than is known here."""

    manifest: Manifest
    data: bytes


@dataclass(frozen=True)
class Bundle:
    """A bundle whose parts were checked against the manifest.

    Attributes:
        manifest: What the model means.
        model: The int8 .tflite file.
        extras: Further members by name; earlier and later versions may know others, or none.
        signature: Of the manifest's bytes, unchecked; None: there is none.
        written: Where the bundle was read from a file; None: it was not.
    """

    manifest: Manifest
    model: bytes
    extras: Mapping[str, bytes] = field(default_factory=dict)
    signature: bytes | None = None
    written: Written | None = field(default=None, compare=False, repr=False)

    @property
    def manifest_bytes(self) -> bytes:
        """What is signed: the bytes that were read, unless the manifest is another one since."""
        if self.written is not None and self.written.manifest == self.manifest:
            return self.written.data
        return manifest_to_bytes(self.manifest)


def with_extra(bundle: Bundle, name: str, data: bytes) -> Bundle:
    """Return the bundle with a further member, its digest in the manifest; one of that name is replaced.

    A signature goes, since the manifest is another one.

    Raises:
        BundleError: If the name is no plain file name, or is taken by what every bundle has.
    """
    if not _EXTRA_NAME.fullmatch(name) or name in (MANIFEST, MODEL, SIGNATURE):
        raise BundleError(f"Expected a plain name for a further member of a bundle, got {name!r}. Choose another.")
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, name: sha256(data)})
    return Bundle(manifest, bundle.model, {**bundle.extras, name: data})


def sha256(data: bytes) -> str:
    """Return the SHA-256 of data in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def bundle_to_bytes(bundle: Bundle) -> bytes:
    """Return the bundle's file. The same bundle gives the same bytes: members are stored, in order, without dates.

    Raises:
        BundleError: If the manifest does not name the digest of each.
    """
    members = {MANIFEST: bundle.manifest_bytes, MODEL: bundle.model, **bundle.extras}
    _check_parts(bundle.manifest, members)
    if bundle.signature is not None:
        members[SIGNATURE] = bundle.signature
    return _to_zip(members)


def _to_zip(members: Mapping[str, bytes]) -> bytes:
    """Return the one zip of these members: the manifest, the model, then the others by name."""
    ordered = sorted(members, key=lambda name: (name != MANIFEST, name != MODEL, name))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in ordered:
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return buffer.getvalue()


def bundle_from_bytes(data: bytes, first: Callable[[bytes, bytes | None], object] = lambda *_: None) -> Bundle:
    """Return the bundle in a file's bytes, each part checked against its digest.

    Args:
        data: The file.
        first: Given the manifest's bytes and the signature before anything else is read; raises what it likes.

    Raises:
        BundleError: If it is not a bundle, is damaged, is larger than a bundle may be, or is any other zip.
    """
    bundle = _from_zip(data, first)
    if bundle_to_bytes(bundle) != data:
        raise BundleLayoutError(
            "Expected the one file that these members make, got another zip of them: bytes were changed that carry "
            "nothing, or another program packed it. Make it anew with `drsn-edge convert`."
        )
    return bundle


def _from_zip(data: bytes, first: Callable[[bytes, bytes | None], object] = lambda *_: None) -> Bundle:
    """Return what `bundle_from_bytes` does, without a look at what a zip may hold beside its members."""
    try:
        _check_directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _read_members(archive, first)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as exc:
        raise BundleDamagedError(f"Expected a .drsn bundle (a zip), got other or damaged bytes: {exc}.") from exc
    if MANIFEST not in members or MODEL not in members:
        raise BundleError(f"Expected {MANIFEST} and {MODEL} in the bundle, got {', '.join(sorted(members)) or 'none'}.")
    manifest = manifest_from_bytes(members[MANIFEST])
    signature = members.pop(SIGNATURE, None)
    _check_parts(manifest, members)
    extras = {name: part for name, part in members.items() if name not in (MANIFEST, MODEL)}
    return Bundle(manifest, members[MODEL], extras, signature, Written(manifest, members[MANIFEST]))


def write_bundle(bundle: Bundle, path: Path) -> int:
    """Write the bundle to path, whole or not at all; return its size in bytes.

    Raises:
        BundleError: If it is not one that can be read again.
        OutputError: If it cannot be written.
    """
    data = bundle_to_bytes(bundle)
    _from_zip(data)  # sizes, names and the manifest; it is the one file of its members by the way it was made
    write_file(path, data)
    return len(data)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle file.

    Raises:
        BundleError: If it cannot be read or is not a bundle.
    """
    try:
        data = read_regular(path, MAX_BUNDLE_BYTES)
    except FileTooLargeError as exc:
        raise BundleLimitError(f"{path}: Expected a bundle of at most {MAX_BUNDLE_BYTES} bytes: {exc}.") from exc
    except OSError as exc:
        raise BundleError(f"Expected a bundle at {path}: {exc.strerror}. Make one with `drsn-edge convert`.") from exc
    try:
        return bundle_from_bytes(data)
    except BundleError as exc:
        raise type(exc)(f"{path}: {exc}") from exc


def _check_directory(data: bytes) -> None:
    """Refuse what `zipfile` would spend memory on: it reads the whole directory before anything can be asked."""
    if len(data) < _END.size:
        raise zipfile.BadZipFile("File is not a zip file")
    mark, _, _, here, total, size, _, comment = _END.unpack_from(data, len(data) - _END.size)
    if mark != b"PK\5\6" or comment:
        raise zipfile.BadZipFile("File is not a zip file, is cut short, or has something after its end")
    if max(here, total) > MAX_MEMBERS or size > _MAX_DIRECTORY_BYTES or data[-42:-38] == b"PK\6\7":
        raise BundleLimitError(f"Expected at most {MAX_MEMBERS} different members in a bundle, got {total}.")


def _read_members(archive: zipfile.ZipFile, first: Callable[[bytes, bytes | None], object]) -> dict[str, bytes]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if len(infos) > MAX_MEMBERS:
        raise BundleLimitError(f"Expected at most {MAX_MEMBERS} different members in a bundle, got {len(infos)}.")
    if len(set(names)) != len(names):
        raise BundleLayoutError(f"Expected at most {MAX_MEMBERS} different members in a bundle, got one name twice.")
    limits = {MANIFEST: MAX_MANIFEST_BYTES, SIGNATURE: MAX_SIGNATURE_BYTES, REPORT: MAX_REPORT_BYTES}
    for info in infos:
        limit = limits.get(info.filename, MAX_MEMBER_BYTES)
        if not _EXTRA_NAME.fullmatch(info.filename):
            raise BundleLayoutError(f"Expected plain names of members in a bundle, got {info.filename!r}.")
        if info.compress_type != zipfile.ZIP_STORED or stat.S_ISLNK(info.external_attr >> 16):
            raise BundleLayoutError(f"Expected {info.filename} as a file, stored; got it compressed or a link.")
        if info.file_size > limit:
            raise BundleLimitError(f"Expected {info.filename} of at most {limit} bytes, got {info.file_size}.")
    if MANIFEST in names:
        first(archive.read(MANIFEST), archive.read(SIGNATURE) if SIGNATURE in names else None)
    return {info.filename: archive.read(info) for info in infos}


def _check_parts(manifest: Manifest, members: dict[str, bytes]) -> None:
    parts = {name for name in members if name != MANIFEST}
    if parts != set(manifest.parts):
        raise BundleLayoutError(f"Expected the members {sorted(manifest.parts)} of the manifest, got {sorted(parts)}.")
    for name in parts:
        if sha256(members[name]) != manifest.parts[name]:
            raise BundleDamagedError(
                f"{name} does not have the SHA-256 of the manifest: the bundle is damaged. Copy it again."
            )
