"""Ed25519 signatures over manifests (RFC 8032, by `cryptography`), keys in files, and folders of trusted keys.

A public key is one line, so that it can be read aloud, mailed or piped:

    drsn-ed25519 BASE64-OF-32-BYTES NAME

A signature signs the manifest, which holds the SHA-256 of everything else. It names its key, so that a gateway can say
which one it would have to trust.
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
"""Goes before what is signed, so that no signature made for something else is one of a manifest."""

_NAME = re.compile(r"[\w.@-]{1,64}")
_MAX_KEY_BYTES = 16_384
MOST_TRUSTED = 100
_STRICT = 2
"""Folders that nobody but their owner may write at all: that of trusted keys, and the one above it."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class PublicKey:
    """A key that checks signatures.

    Attributes:
        raw: Its 32 bytes.
        name: Whose it is, as its owner says.
    """

    raw: bytes
    name: str

    @property
    def id(self) -> str:
        """What a person compares: the first 16 hex digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def line(self) -> str:
        """The key as its file has it, without the line's end."""
        return f"{_KIND} {base64.b64encode(self.raw).decode()} {self.name}"


def parse_public(line: str, source: str) -> PublicKey:
    """Return the key in a line.

    Raises:
        KeyFileError: If it is none; the message names the source.
    """
    fields = line.split()
    try:
        _, encoded, name = fields
        key = PublicKey(base64.b64decode(encoded, validate=True), name)
    except (ValueError, binascii.Error):
        key = PublicKey(b"", "")
    if len(key.raw) != 32 or not _NAME.fullmatch(key.name) or fields != key.line.split():
        raise KeyFileError(
            f"Expected a public key ({_KIND} BASE64 NAME) in {source}, got something else. `drsn-edge keys show` "
            "prints one."
        )
    return key


def new_private(path: Path, name: str, passphrase: bytes | None = None) -> PublicKey:
    """Write a new private key that only its owner may read, and return its public one.

    Args:
        path: Where; nothing may be there.
        name: Of the public key.
        passphrase: To encrypt the file with; None: it is not encrypted.

    Raises:
        KeyFileError: If something is there, it cannot be written, or the name is none.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        raise KeyFileError(f"Expected a name of up to 64 letters, digits, '.', '_', '-' and '@', got {name!r}.")
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
            f"Could not make the key file {path}: {exc.strerror}. A key that is there is never replaced; choose "
            "another --key."
        ) from exc
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return _public_of(key, name)


def read_private(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        KeyFileError: If it cannot be read, is none, others may write or read it, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        mode = path.stat().st_mode
        data = read_regular(path, _MAX_KEY_BYTES)
    except OSError as exc:
        raise KeyFileError(
            f"Expected a private key at {path}: {exc.strerror}. Make one with `drsn-edge keys new`."
        ) from exc
    if mode & 0o077:
        raise KeyFileError(f"Expected a private key that only its owner can read, got {path}. Type: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise KeyFileError(
            f"Could not read the private key {path}: {exc}. Is DRSN_EDGE_KEY_PASSPHRASE what it was made with?"
        ) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"Expected an Ed25519 key in {path}, got another kind. Make one with `drsn-edge keys new`.")
    return key


def public_path(path: Path) -> Path:
    """Return where the public key of a private one lies."""
    return path.with_name(path.name + ".pub")


def read_public(path: Path) -> PublicKey:
    """Read the file of a public key.

    Raises:
        KeyFileError: If it cannot be read or is none.
    """
    try:
        line = read_text_file(path, _MAX_KEY_BYTES)
    except (OSError, UnicodeDecodeError) as exc:
        raise KeyFileError(f"Expected a public key at {path}, could not read it: {why_unreadable(exc)}") from exc
    return parse_public(line, str(path))


def _public_of(key: Ed25519PrivateKey, name: str) -> PublicKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return PublicKey(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), name)


def sign(bundle: Bundle, key: Ed25519PrivateKey) -> Bundle:
    """Return the bundle with a signature of its manifest; an earlier one is replaced."""
    signed = key.sign(_CONTEXT + bundle.manifest_bytes)
    return replace(bundle, signature=_signature_bytes(_public_of(key, "signer").id, signed))


def reissue(bundle: Bundle, version: str, key: Ed25519PrivateKey) -> Bundle:
    """Return what a bundle holds under a newer version, signed: the way back behind a floor, which stays where it is.

    Raises:
        BundleError: If the version is none, or not newer than the bundle's own.
    """
    own = bundle.manifest.version
    if not is_version(version) or version_key(version) <= version_key(own):
        raise BundleError(
            f"Expected a version MAJOR.MINOR.PATCH that is newer than the bundle's own, {own}, got {version!r}. "
            "`drsn-edge gateway slots` says what a gateway takes at least."
        )
    return sign(replace(bundle, manifest=replace(bundle.manifest, version=version)), key)


def signer_id(bundle: Bundle) -> str | None:
    """Return the id of the key that a bundle says has signed it, unchecked; None: it says none."""
    try:
        return text(json.loads(bundle.signature or b""), "key")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _signature_bytes(key_id: str, signature: bytes) -> bytes:
    """Return manifest.sig, which has this one form."""
    values = {"schema": SCHEMA, "key": key_id, "ed25519": base64.b64encode(signature).decode()}
    return (json.dumps(values, sort_keys=True) + "\n").encode()


def _read_signature(data: bytes) -> tuple[str, bytes]:
    """Return the id of a key and the signature that manifest.sig holds, both unchecked.

    Raises:
        SignatureError: If it is in another form than `sign` writes.
    """
    try:
        values = json.loads(data)
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema {values['schema']}")
        key_id, made = text(values, "key"), base64.b64decode(text(values, "ed25519"), validate=True)
        if _signature_bytes(key_id, made) != data:
            raise ValueError(
                "other bytes than `drsn-edge bundle sign` writes for it, which anybody can make without the key"
            )
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise SignatureError(f"Expected a signature of schema {SCHEMA}, got {exc!r}. Sign it again.") from exc
    return key_id, made


def check_signature(bundle: Bundle, trusted: Sequence[PublicKey]) -> PublicKey:
    """Return the key that signed a bundle; see `check_signed`."""
    return check_signed(bundle.manifest_bytes, bundle.signature, trusted)


def check_signed(manifest: bytes, signature: bytes | None, trusted: Sequence[PublicKey]) -> PublicKey:
    """Return the key that signed a manifest.

    Args:
        manifest: Its bytes.
        signature: The bytes of manifest.sig; None: there is none.
        trusted: Keys that may have made it.

    Raises:
        UnsignedError: If there is no signature.
        UntrustedKeyError: If no trusted key made it.
        SignatureError: If it is not one of this manifest, or in another form than `sign` writes.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature is None:
        raise UnsignedError("Expected a signed bundle, got one without a signature. Type: drsn-edge bundle sign BUNDLE")
    key_id, made = _read_signature(signature)
    key = next((each for each in trusted if each.id == key_id), None)
    if key is None:
        known = ", ".join(f"{each.id} ({each.name})" for each in trusted) or "none"
        raise UntrustedKeyError(
            f"Expected a signature by a key that is trusted here ({known}), got one by {key_id}. If it is yours: "
            "drsn-edge keys trust KEY.pub, on the gateway."
        )
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(made, _CONTEXT + manifest)
    except InvalidSignature as exc:
        raise SignatureError(
            f"Expected a signature of this manifest by {key.id} ({key.name}), got one of something else: the manifest "
            "was changed, or the signature. Do not use this bundle."
        ) from exc
    return key


def trusted_keys(folder: Path) -> list[PublicKey]:
    """Return the keys in a folder of trusted ones; a folder that is not there has none.

    Raises:
        KeyFileError: If others than root and this user may write the folder or a file, one of them is no key, or there
            are more than `MOST_TRUSTED`.
    """
    return list(_trusted_files(folder).values())


def _trusted_files(folder: Path) -> dict[Path, PublicKey]:
    if not os.path.lexists(folder):
        return {}
    _check_owner(folder)
    if why := why_not_ours_alone(folder, _STRICT):
        raise KeyFileError(f"Expected {folder} to be root's or this user's own, but {why}")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".pub")
    except OSError as exc:
        raise KeyFileError(f"Expected trusted keys in {folder}, could not read them: {exc.strerror}.") from exc
    if len(paths) > MOST_TRUSTED:
        raise KeyFileError(f"Expected at most {MOST_TRUSTED} trusted keys in {folder}, got {len(paths)}. Remove some.")
    for path in paths:
        _check_owner(path)
    return {path: read_public(path) for path in paths}


def trust(key: PublicKey, folder: Path) -> Path:
    """Add a key to a folder of trusted ones and return its file.

    Raises:
        KeyFileError: If others than root and this user may write the folder.
        OutputError: If it cannot be written.
    """
    try:
        make_folder(folder)
    except OSError as exc:
        raise KeyFileError(f"Could not make {folder} for trusted keys: {exc.strerror}. Type it with sudo?") from exc
    trusted_keys(folder)  # what is there already must be sound, too
    path = folder / f"{key.id}.pub"
    write_file(path, f"{key.line}\n".encode())
    path.chmod(0o644)
    return path


def untrust(wanted: str, folder: Path) -> PublicKey:
    """Remove a key from a folder of trusted ones and return it.

    Args:
        wanted: Its id, its name, or the file of a public key.
        folder: Of trusted keys.

    Raises:
        KeyFileError: If no trusted key is meant, or several are, listing them; or if it cannot be removed.
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
        what = (
            "several trusted keys have that name"
            if meant
            else f"no key of that id, name or file is trusted in {folder}"
        )
        raise KeyFileError(f"Expected one trusted key, got {wanted!r}: {what}. Name one of: {known or '(none)'}")
    (key,) = meant.values()
    try:
        for path, each in files.items():
            if each.id == key.id:
                path.unlink()
    except OSError as exc:
        raise KeyFileError(f"Could not remove {key.id} ({key.name}) from {folder}: {exc.strerror}. With sudo?") from exc
    return key


def _check_owner(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_mode & _OTHERS_WRITE or found.st_uid not in (0, os.geteuid()):
        raise KeyFileError(
            f"Expected {path} to be root's or this user's own, no link, and writable by nobody else: whoever can write "
            f"it decides what runs here. Look at what is in it, then type: chmod go-w {path}"
        )
