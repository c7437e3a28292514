"""Ed25519 signatures of manifests (RFC 8032, by `cryptography`), key files, and folders of trusted keys.

A public key is one line, which can be read aloud, mailed or piped:

    drsn-ed25519 BASE64-OF-32-BYTES NAME

A signature covers the manifest, which holds the SHA-256 of every other member. It names its key, so that a gateway can
tell which key it would have to trust.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.errors import BundleError, KeyFileError, SignatureError, UnsignedError, UntrustedKeyError
from drsn_edge.support.fields import text
from drsn_edge.support.files import write_file
from firmware_bridge.gateway.state import is_version, version_key
from firmware_bridge.support.ownership import make_folder, why_not_ours_alone
from firmware_bridge.support.regular_file import read_regular, read_text_file, why_unreadable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA = 1
_KIND = "drsn-ed25519"
_CONTEXT = b"drsn-edge bundle manifest, schema 1\n"
"""Prefix of the signed bytes, so that a signature made for another purpose is never valid for a manifest."""

_NAME = re.compile(r"[\w.@-]{1,64}")
_MAX_KEY_BYTES = 16_384
MOST_TRUSTED = 100
_STRICT = 2
"""Number of folders that only their owner may write: the folder of trusted keys and the one above it."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies signatures.

    Attributes:
        raw: The 32 bytes of the key.
        name: Name that the owner gave the key.
    """

    raw: bytes
    name: str

    @property
    def id(self) -> str:
        """Id for people to compare: the first 16 hex digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def line(self) -> str:
        """The line of the key's file, without the line feed."""
        return f"{_KIND} {base64.b64encode(self.raw).decode()} {self.name}"


def parse_public(line: str, source: str) -> PublicKey:
    """Return the key in a line.

    Raises:
        KeyFileError: If it is not a key; the message names the source.
    """
    fields = line.split()
    try:
        _, encoded, name = fields
        key = PublicKey(base64.b64decode(encoded, validate=True), name)
    except (ValueError, binascii.Error):
        key = PublicKey(b"", "")
    if len(key.raw) != 32 or not _NAME.fullmatch(key.name) or fields != key.line.split():
        raise KeyFileError(
            f"{source} is not a public key ({_KIND} BASE64 NAME). `drsn-edge keys show` prints one.",
            "not_a_public_key",
            path=source,
        )
    return key


def new_private(path: Path, name: str, passphrase: bytes | None = None) -> PublicKey:
    """Write a new private key that only its owner may read, and return the public key.

    Args:
        path: File of the private key, which must not exist.
        name: Name of the public key.
        passphrase: Passphrase that encrypts the file; None: not encrypted.

    Raises:
        KeyFileError: If the file exists or cannot be written, or the name is invalid.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        words = f"{name!r} is not a valid name of a key. Use up to 64 letters, digits, '.', '_', '-' and '@'."
        raise KeyFileError(words, "invalid_name", got=name)
    key = Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )  # fmt: skip
    data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise KeyFileError(
            f"Could not write the key file {path}: {exc.strerror}. An existing key is never replaced; choose another "
            "--key.",
            "exists" if isinstance(exc, FileExistsError) else "cannot_write",
            path=path,
            reason=exc.strerror,
        ) from exc
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return _public_of(key, name)


def read_private(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        KeyFileError: If it cannot be read or is not a key, others may read or write it, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        mode = path.stat().st_mode
        data = read_regular(path, _MAX_KEY_BYTES)
    except OSError as exc:
        raise KeyFileError(
            f"Could not read the private key {path}: {exc.strerror}. Make one with `drsn-edge keys new`.",
            "missing" if isinstance(exc, FileNotFoundError) else "unreadable",
            path=path,
            reason=exc.strerror,
        ) from exc
    if mode & 0o077:
        words = f"Others may read or write the private key {path}. Type: chmod 600 {path}"
        raise KeyFileError(words, "open_to_others", path=path)
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise KeyFileError(
            f"Could not read the private key {path}: {exc}. Put the passphrase that it was made with into "
            "DRSN_EDGE_KEY_PASSPHRASE.",
            "cannot_load",
            path=path,
        ) from exc
    if not isinstance(key, Ed25519PrivateKey):
        words = f"{path} holds a key of another kind than Ed25519. Make one with `drsn-edge keys new`."
        raise KeyFileError(words, "other_kind", path=path)
    return key


def public_path(path: Path) -> Path:
    """Return the file of the public key that belongs to a private one."""
    return path.with_name(path.name + ".pub")


def read_public(path: Path) -> PublicKey:
    """Read the file of a public key.

    Raises:
        KeyFileError: If it cannot be read or is not a key.
    """
    try:
        line = read_text_file(path, _MAX_KEY_BYTES)
    except (OSError, UnicodeDecodeError) as exc:
        problem = "missing" if isinstance(exc, FileNotFoundError) else "unreadable"
        words = f"Could not read the public key {path}: {why_unreadable(exc)}"
        raise KeyFileError(words, problem, path=path) from exc
    return parse_public(line, str(path))


def _public_of(key: Ed25519PrivateKey, name: str) -> PublicKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return PublicKey(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), name)


def sign(bundle: Bundle, key: Ed25519PrivateKey) -> Bundle:
    """Return the bundle with a signature of its manifest; an earlier signature is replaced."""
    signed = key.sign(_CONTEXT + bundle.manifest_bytes)
    return replace(bundle, signature=_signature_bytes(_public_of(key, "signer").id, signed))


def reissue(bundle: Bundle, version: str, key: Ed25519PrivateKey) -> Bundle:
    """Return the same bundle under a newer version, signed: the way to go back to an old model despite the floor.

    Raises:
        BundleError: If the version is invalid, or not newer than the bundle's own.
    """
    own = bundle.manifest.version
    if not is_version(version) or version_key(version) <= version_key(own):
        raise BundleError(
            f"{version!r} is not a version MAJOR.MINOR.PATCH newer than the bundle's own, {own}. "
            "`drsn-edge gateway slots` shows the lowest version that a gateway accepts.",
            "not_newer",
            own=own,
            got=version,
        )
    return sign(replace(bundle, manifest=replace(bundle.manifest, version=version)), key)


def signer_id(bundle: Bundle) -> str | None:
    """Return the id of the key that a bundle names as its signer, not verified; None: it names none."""
    try:
        return text(json.loads(bundle.signature or b""), "key")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _signature_bytes(key_id: str, signature: bytes) -> bytes:
    """Return the only valid bytes of manifest.sig."""
    values = {"schema": SCHEMA, "key": key_id, "ed25519": base64.b64encode(signature).decode()}
    return (json.dumps(values, sort_keys=True) + "\n").encode()


def _read_signature(data: bytes) -> tuple[str, bytes]:
    """Return the key id and the signature in manifest.sig, both not verified.

    Raises:
        SignatureError: If the bytes differ from what `sign` writes.
    """
    try:
        values = json.loads(data)
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema {values['schema']}")
        key_id, made = text(values, "key"), base64.b64decode(text(values, "ed25519"), validate=True)
        if _signature_bytes(key_id, made) != data:
            raise ValueError("it is not written as `drsn-edge bundle sign` writes it, so anybody could have changed it")
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        words = f"The signature is damaged or not of schema {SCHEMA}: {exc}. Sign the bundle again."
        raise SignatureError(words, "damaged_signature") from exc
    return key_id, made


def check_signature(bundle: Bundle, trusted: Sequence[PublicKey]) -> PublicKey:
    """Return the key that signed a bundle; see `check_signed`."""
    return check_signed(bundle.manifest_bytes, bundle.signature, trusted)


def check_signed(manifest: bytes, signature: bytes | None, trusted: Sequence[PublicKey]) -> PublicKey:
    """Return the key that signed a manifest.

    Args:
        manifest: Bytes of the manifest.
        signature: Bytes of manifest.sig; None: unsigned.
        trusted: Keys whose signatures are accepted.

    Raises:
        UnsignedError: If there is no signature.
        UntrustedKeyError: If no trusted key made it.
        SignatureError: If it does not belong to this manifest, or its bytes differ from what `sign` writes.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature is None:
        raise UnsignedError("The bundle is not signed. Type: drsn-edge bundle sign BUNDLE")
    key_id, made = _read_signature(signature)
    key = next((each for each in trusted if each.id == key_id), None)
    if key is None:
        known = ", ".join(f"{each.id} ({each.name})" for each in trusted) or "none"
        raise UntrustedKeyError(
            f"The bundle is signed by the key {key_id}, which is not trusted here (trusted: {known}). If the key is "
            "yours, type on the gateway: drsn-edge keys trust KEY.pub",
            key=key_id,
            trusted=[each.id for each in trusted],
        )
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(made, _CONTEXT + manifest)
    except InvalidSignature as exc:
        raise SignatureError(
            f"The signature by {key.id} ({key.name}) does not belong to this manifest: the manifest or the signature "
            "was changed. Do not use this bundle.",
            "not_of_this_manifest",
            key=key.id,
        ) from exc
    return key


def trusted_keys(folder: Path) -> list[PublicKey]:
    """Return the keys in a folder of trusted keys; a missing folder has none.

    Raises:
        KeyFileError: If users other than root and this one may write the folder or a file, a file is not a key, or
            there are more than `MOST_TRUSTED`.
    """
    return list(_trusted_files(folder).values())


def _trusted_files(folder: Path) -> dict[Path, PublicKey]:
    if not os.path.lexists(folder):
        return {}
    _check_owner(folder)
    if why := why_not_ours_alone(folder, _STRICT):
        words = f"The folder of trusted keys {folder} must belong to root or this user alone, but {why}"
        raise KeyFileError(words, why.problem, path=folder, place=why.path)
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".pub")
    except OSError as exc:
        words = f"Could not read the trusted keys in {folder}: {exc.strerror}. Run the command with sudo."
        raise KeyFileError(words, "unreadable", path=folder, reason=exc.strerror) from exc
    if len(paths) > MOST_TRUSTED:
        words = f"{folder} holds {len(paths)} trusted keys; the limit is {MOST_TRUSTED}. Remove some."
        raise KeyFileError(words, "too_many_keys", path=folder, got=len(paths), limit=MOST_TRUSTED)
    for path in paths:
        _check_owner(path)
    return {path: read_public(path) for path in paths}


def trust(key: PublicKey, folder: Path) -> Path:
    """Add a key to a folder of trusted keys and return its file.

    Raises:
        KeyFileError: If users other than root and this one may write the folder.
        OutputError: If it cannot be written.
    """
    try:
        make_folder(folder)
    except OSError as exc:
        words = f"Could not make the folder {folder} for trusted keys: {exc.strerror}. Run the command with sudo."
        raise KeyFileError(words, "cannot_make_folder", path=folder, reason=exc.strerror) from exc
    trusted_keys(folder)  # the keys that are already there must be valid as well
    path = folder / f"{key.id}.pub"
    write_file(path, f"{key.line}\n".encode())
    path.chmod(0o644)
    return path


def untrust(wanted: str, folder: Path) -> PublicKey:
    """Remove a key from a folder of trusted keys and return it.

    Args:
        wanted: Id or name of the key, or the file of a public key.
        folder: Folder of trusted keys.

    Raises:
        KeyFileError: If no trusted key matches or several do, listing them; or if it cannot be removed.
    """
    files = _trusted_files(folder)
    meant = {key.id: key for key in files.values() if wanted in (key.id, key.name)}
    if not meant and Path(wanted).is_file():
        named = read_public(Path(wanted))
        meant = {key.id: key for key in files.values() if key.id == named.id}
    if len(meant) != 1:
        known = ", ".join(
            f"{key.id} ({key.name})" for key in (meant or {key.id: key for key in files.values()}).values()
        )
        problem, what = (
            ("ambiguous_key", f"Several trusted keys have the name {wanted!r}. Give an id instead")
            if meant
            else ("no_such_key", f"{folder} has no trusted key with the id, name or file {wanted!r}. Choose another")
        )
        raise KeyFileError(f"{what}: {known or '(none)'}", problem, path=folder, got=wanted)
    (key,) = meant.values()
    try:
        for path, each in files.items():
            if each.id == key.id:
                path.unlink()
    except OSError as exc:
        words = f"Could not remove {key.id} ({key.name}) from {folder}: {exc.strerror}. Run the command with sudo."
        raise KeyFileError(words, "cannot_remove", path=folder, key=key.id, reason=exc.strerror) from exc
    return key


def _check_owner(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_mode & _OTHERS_WRITE or found.st_uid not in (0, os.geteuid()):
        raise KeyFileError(
            f"{path} is a link, belongs to another user, or is writable by others. Whoever can write it decides which "
            f"bundles run here. Check its content, then type: chmod go-w {path}",
            "writable_by_others",
            path=path,
        )
