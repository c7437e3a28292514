"""The bundle file `.drsn`: a zip whose bytes depend on its content alone.

manifest.json    what the model means, and the SHA-256 of every other member
model.tflite     the int8 model; absent from a bundle of healthy recordings alone (`drsn_edge.bundle.healthy`)
golden.npz       windows with the logits that they give (`drsn_edge.bundle.golden`), or without a network with their
                 novelties (`drsn_edge.bundle.golden_novelty`); optional
novelty.npz      what detects windows unlike the training data (`drsn_edge.signal.novelty`); optional with a network
naming.npz       what a change is named by (`drsn_edge.signal.resemblance`); only without a network
report.json      what `drsn-edge inspect` found in the model; optional, as are all further members
manifest.sig     signature of manifest.json (`drsn_edge.bundle.signing`); the only member without a digest in it

Each content has exactly one valid file, and a reader refuses every other zip of it: comments, dates, links, gaps and
duplicate names are impossible.
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
from drsn_edge.signal.novelty import MEMBER as NOVELTY
from drsn_edge.signal.resemblance import MEMBER as NAMING
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
"""A hundred times the largest network of `drsn-edge models`, and small enough for the memory of any gateway."""

_EXTRA_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip can hold; members have no dates of their own."""

_END = struct.Struct("<4s4H2IH")  # of the central directory, APPNOTE.TXT 4.3.16; a bundle has no comment after it
assert _END.size == 22
_MAX_DIRECTORY_BYTES = MAX_MEMBERS * (46 + 256)


class Written(NamedTuple):
    """A manifest that was read, and its bytes, which may hold fields of a later version."""

    manifest: Manifest
    data: bytes


@dataclass(frozen=True)
class Bundle:
    """A bundle whose parts were checked against the manifest.

    Attributes:
        manifest: What the model means.
        model: The int8 .tflite file; None: the bundle has no network.
        extras: Further members by name; other versions may know other members.
        signature: Signature of the manifest's bytes, not verified; None: unsigned.
        written: The manifest as it was read from a file; None: the bundle was not read from a file.
    """

    manifest: Manifest
    model: bytes | None
    extras: Mapping[str, bytes] = field(default_factory=dict)
    signature: bytes | None = None
    written: Written | None = field(default=None, compare=False, repr=False)

    @property
    def network(self) -> bytes:
        """The int8 .tflite file of a bundle that must have one.

        Raises:
            BundleError: If the bundle has no network.
        """
        return network_of(self, "there is no model to run")

    @property
    def manifest_bytes(self) -> bytes:
        """The bytes that are signed: those that were read, unless the manifest has changed since."""
        if self.written is not None and self.written.manifest == self.manifest:
            return self.written.data
        return manifest_to_bytes(self.manifest)


def network_of(bundle: Bundle, so: str) -> bytes:
    """Return the int8 .tflite file of a bundle that must have one.

    Args:
        bundle: The bundle.
        so: What follows without a network, as the end of a sentence, such as "no logits can be compared".

    Raises:
        BundleError: If the bundle has no network.
    """
    if bundle.model is None:
        named = f"{bundle.manifest.name} {bundle.manifest.version}"
        words = f"The bundle {named} knows healthy recordings alone and has no network, so {so}."
        raise BundleError(words, "no_network", bundle=named)
    return bundle.model


def with_extra(bundle: Bundle, name: str, data: bytes) -> Bundle:
    """Return the bundle with a further member and its digest in the manifest; a member of that name is replaced.

    The signature is removed, since the manifest changes.

    Raises:
        BundleError: If the name is not a plain file name, or belongs to a member that every bundle has.
    """
    if not _EXTRA_NAME.fullmatch(name) or name in (MANIFEST, MODEL, SIGNATURE):
        words = f"A bundle cannot have a further member {name!r}. Use lower-case letters, digits, '.', '_' and '-'."
        raise BundleError(words, "member_name", name=name)
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, name: sha256(data)})
    return Bundle(manifest, bundle.model, {**bundle.extras, name: data})


def sha256(data: bytes) -> str:
    """Return the SHA-256 of data in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def bundle_to_bytes(bundle: Bundle) -> bytes:
    """Return the bytes of the bundle file; the same bundle gives the same bytes.

    Raises:
        BundleError: If the manifest lacks the digest of a member, or has another one.
    """
    members = {MANIFEST: bundle.manifest_bytes, **bundle.extras}
    if bundle.model is not None:
        members[MODEL] = bundle.model
    _check_parts(bundle.manifest, members)
    if bundle.signature is not None:
        members[SIGNATURE] = bundle.signature
    return _to_zip(members)


def _to_zip(members: Mapping[str, bytes]) -> bytes:
    """Return the only valid zip of these members: the manifest, the model, then the others by name."""
    ordered = sorted(members, key=lambda name: (name != MANIFEST, name != MODEL, name))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in ordered:
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.create_system = 3  # Unix, whatever system writes it
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return buffer.getvalue()


def bundle_from_bytes(data: bytes, first: Callable[[bytes, bytes | None], object] = lambda *_: None) -> Bundle:
    """Return the bundle in a file's bytes; each member is checked against its digest.

    Args:
        data: The file.
        first: Called with the manifest's bytes and the signature before anything else is read; it may raise any error.

    Raises:
        BundleError: If it is not a bundle, is damaged, exceeds a limit, or is another zip of the same members.
    """
    bundle = _from_zip(data, first)
    if bundle_to_bytes(bundle) != data:
        raise BundleLayoutError(
            "The bundle is not packed as drsn-edge packs it: another program packed it, or bytes outside its members "
            "were changed. Make it again with `drsn-edge convert`.",
            "other_packing",
        )
    return bundle


def _from_zip(data: bytes, first: Callable[[bytes, bytes | None], object] = lambda *_: None) -> Bundle:
    """Do what `bundle_from_bytes` does, without a check of the bytes outside the members."""
    try:
        _check_directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _read_members(archive, first)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as exc:
        words = f"Not a .drsn bundle (a zip), or a damaged one: {str(exc).rstrip('.')}. Copy the bundle again."
        raise BundleDamagedError(words, "not_a_zip") from exc
    _expect_members(members, MANIFEST)
    manifest = manifest_from_bytes(members[MANIFEST])
    _expect_members(members, *_needed(manifest))
    signature = members.pop(SIGNATURE, None)
    _check_parts(manifest, members)
    extras = {name: part for name, part in members.items() if name not in (MANIFEST, MODEL)}
    return Bundle(manifest, members.get(MODEL), extras, signature, Written(manifest, members[MANIFEST]))


def _needed(manifest: Manifest) -> tuple[str, ...]:
    """Return the members that a bundle must have."""
    return (MANIFEST, MODEL if manifest.has_network else NOVELTY, *([NAMING] if manifest.names_changes else []))


def _expect_members(members: Mapping[str, bytes], *needed: str) -> None:
    if not set(needed) <= set(members):
        got = ", ".join(sorted(members)) or "nothing"
        words = (
            f"This bundle must hold {' and '.join(needed)}, but this zip holds {got}. Make the bundle again, for "
            "example with `drsn-edge convert`."
        )
        raise BundleError(words, "members_missing", got=got)


def write_bundle(bundle: Bundle, path: Path) -> int:
    """Write the bundle to path, completely or not at all; return its size in bytes.

    Raises:
        BundleError: If it could not be read again.
        OutputError: If it cannot be written.
    """
    data = bundle_to_bytes(bundle)
    _from_zip(data)  # checks sizes, names and the manifest; the packing is right by construction
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
        words = f"{path} is too large for a bundle: {exc}."
        raise BundleLimitError(words, "file_too_large", path=path, limit=MAX_BUNDLE_BYTES) from exc
    except OSError as exc:
        why = exc.strerror or str(exc)
        words = f"Could not read the bundle {path}: {why}. Check the path, or make a bundle with `drsn-edge convert`."
        raise BundleError(words, "unreadable", path=path, reason=why) from exc
    try:
        return bundle_from_bytes(data)
    except BundleError as exc:
        raise type(exc)(f"{path}: {exc}", exc.problem, **{**exc.facts, "path": path}) from exc


def _check_directory(data: bytes) -> None:
    """Refuse a large directory, which `zipfile` would read into memory before anything can be checked."""
    if len(data) < _END.size:
        raise zipfile.BadZipFile("File is not a zip file")
    mark, _, _, here, total, size, _, comment = _END.unpack_from(data, len(data) - _END.size)
    if mark != b"PK\5\6" or comment:
        raise zipfile.BadZipFile("File is not a zip file, is cut short, or has something after its end")
    if max(here, total) > MAX_MEMBERS or size > _MAX_DIRECTORY_BYTES or data[-42:-38] == b"PK\6\7":
        raise _too_many(total)


def _too_many(got: int) -> BundleLimitError:
    words = f"The bundle has too many members: {got}, and the limit is {MAX_MEMBERS}."
    return BundleLimitError(words, "too_many_members", got=got, limit=MAX_MEMBERS)


def _read_members(archive: zipfile.ZipFile, first: Callable[[bytes, bytes | None], object]) -> dict[str, bytes]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if len(infos) > MAX_MEMBERS:
        raise _too_many(len(infos))
    if len(set(names)) != len(names):
        raise BundleLayoutError("Two members of the bundle have the same name.", "duplicate_member")
    limits = {MANIFEST: MAX_MANIFEST_BYTES, SIGNATURE: MAX_SIGNATURE_BYTES, REPORT: MAX_REPORT_BYTES}
    for info in infos:
        limit = limits.get(info.filename, MAX_MEMBER_BYTES)
        if not _EXTRA_NAME.fullmatch(info.filename):
            words = f"The bundle has a member {info.filename!r}, which is not a plain name."
            raise BundleLayoutError(words, "member_name", member=info.filename)
        if info.compress_type != zipfile.ZIP_STORED or stat.S_ISLNK(info.external_attr >> 16):
            words = f"{info.filename} in the bundle is compressed or a link, but must be a stored file."
            raise BundleLayoutError(words, "compressed_or_link", member=info.filename)
        if info.file_size > limit:
            words = f"{info.filename} in the bundle has {info.file_size} bytes; the limit is {limit}."
            raise BundleLimitError(words, "member_too_large", member=info.filename, got=info.file_size, limit=limit)
    if MANIFEST in names:
        first(archive.read(MANIFEST), archive.read(SIGNATURE) if SIGNATURE in names else None)
    return {info.filename: archive.read(info) for info in infos}


def _check_parts(manifest: Manifest, members: dict[str, bytes]) -> None:
    if (MODEL in members) != manifest.has_network:
        is_there, is_described = ("holds", "no") if MODEL in members else ("holds no", "a")
        words = f"The bundle {is_there} {MODEL}, but its manifest describes {is_described} network. Make it again."
        raise BundleLayoutError(words, "model_and_manifest_differ")
    parts = {name for name in members if name != MANIFEST}
    if parts != set(manifest.parts):
        expected, got = sorted(manifest.parts), sorted(parts)
        words = f"The manifest lists the members {', '.join(expected)}, but the bundle holds {', '.join(got)}."
        raise BundleLayoutError(words, "other_members", expected=expected, got=got)
    for name in parts:
        if sha256(members[name]) != manifest.parts[name]:
            raise BundleDamagedError(
                f"{name} does not have the SHA-256 that the manifest lists: the bundle is damaged. Copy it again.",
                "wrong_digest",
                member=name,
            )
