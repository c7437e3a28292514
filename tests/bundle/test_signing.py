"""Signatures, keys and folders of trusted keys, mostly on what must be refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from drsn_edge.bundle.bundle import Bundle, Written, bundle_from_bytes, bundle_to_bytes, with_extra
from drsn_edge.bundle.manifest import manifest_to_bytes
from drsn_edge.bundle.signing import (
    MOST_TRUSTED,
    PublicKey,
    check_signature,
    new_private,
    parse_public,
    read_private,
    sign,
    trust,
    trusted_keys,
)
from drsn_edge.errors import BundleError, KeyFileError, SignatureError, UnsignedError, UntrustedKeyError


@pytest.fixture
def key(tmp_path: Path) -> tuple[Any, PublicKey]:
    public = new_private(tmp_path / "keys" / "signing.key", "works")
    return read_private(tmp_path / "keys" / "signing.key"), public


def test_a_signed_bundle_comes_back_with_its_signer(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    private, public = key
    found = bundle_from_bytes(bundle_to_bytes(sign(bundle, private)))
    assert check_signature(found, [public]) == public
    assert found == sign(bundle, private)  # Ed25519 draws nothing at random: the file is the same again


def test_a_manifest_of_a_later_version_stays_signed(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    private, public = key
    values = {**json.loads(manifest_to_bytes(bundle.manifest)), "later": [1, None]}
    text = (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    data = bundle_to_bytes(sign(replace(bundle, written=Written(bundle.manifest, text)), private))
    assert check_signature(bundle_from_bytes(data), [public]) == public


def test_no_flipped_bit_of_a_signed_bundle_is_taken(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    private, public = key
    data = bundle_to_bytes(sign(bundle, private))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(BundleError):
            check_signature(bundle_from_bytes(bytes(damaged)), [public])


def test_a_bundle_without_a_signature_is_refused(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    with refused(UnsignedError):
        check_signature(bundle, [key[1]])


def test_adding_a_member_takes_the_signature_away(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    assert with_extra(sign(bundle, key[0]), "notes.txt", b"x").signature is None


def test_another_key_is_refused_and_named(bundle: Bundle, key: tuple[Any, PublicKey], tmp_path: Path) -> None:
    private, public = key
    other = new_private(tmp_path / "other.key", "other")
    with refused(UntrustedKeyError, key=public.id, trusted=[other.id]) as caught:
        check_signature(sign(bundle, private), [other])
    assert f"{other.id} (other)" in str(caught.value) and public.id in str(caught.value)
    with refused(UntrustedKeyError, key=public.id, trusted=[]):
        check_signature(sign(bundle, private), [])


def test_a_signature_of_another_manifest_is_refused(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    private, public = key
    newer = replace(bundle, manifest=replace(bundle.manifest, version="9.9.9"))
    with refused(SignatureError, "not_of_this_manifest", key=public.id):
        check_signature(replace(newer, signature=sign(bundle, private).signature), [public])


def test_a_signature_for_another_purpose_is_refused(bundle: Bundle, key: tuple[Any, PublicKey]) -> None:
    private, public = key
    bare = base64.b64encode(private.sign(bundle.manifest_bytes)).decode()
    signature = json.dumps({"schema": 1, "key": public.id, "ed25519": bare}).encode()
    with pytest.raises(SignatureError):
        check_signature(replace(bundle, signature=signature), [public])


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", b"[" * 4000, b'{"schema": 2}', b'{"schema": 1, "key": 3, "ed25519": "AA=="}']
)
def test_what_is_no_signature_is_refused(bundle: Bundle, key: tuple[Any, PublicKey], text: bytes) -> None:
    with refused(SignatureError, "damaged_signature"):
        check_signature(replace(bundle, signature=text), [key[1]])


OTHER_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "a field more": lambda text: text.replace(b"{", b'{"note": "anybody can write this", ', 1),
    "spaces": lambda text: text.replace(b": ", b":  ", 1),
    "no line end": lambda text: text.rstrip(),
    "a line end more": lambda text: text + b"\n",
    "another line end": lambda text: text.replace(b"\n", b"\r\n"),
    "another order": lambda text: (json.dumps(dict(reversed(json.loads(text).items()))) + "\n").encode(),
    "a key twice": lambda text: text.replace(b"{", b'{"schema": 1, ', 1),
    "a key twice, the first otherwise": lambda text: text.replace(b"{", b'{"key": "x", ', 1),
    "an escaped letter": lambda text: text.replace(b'"key"', b'"\\u006bey"'),
    "a number otherwise": lambda text: text.replace(b"1}", b"1.0}"),
    "true": lambda text: text.replace(b"1}", b"true}"),
    "base64 with bits that carry nothing": lambda text: text.replace(b'=="', b'=="').replace(
        text[text.index(b"==") - 1 : text.index(b"==")] + b"==", _next(text[text.index(b"==") - 1]) + b"=="
    ),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "16 bits": lambda text: text.decode().encode("utf-16-le"),
}


def _next(letter: int) -> bytes:
    """Return the base64 letter that differs in its lowest bit, which carries nothing before `=`."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return alphabet[(place := alphabet.index(letter) ^ 1) : place + 1]


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_a_signature_has_one_form(bundle: Bundle, key: tuple[Any, PublicKey], form: str) -> None:
    """Without the key nobody can make a second file that is taken as well."""
    private, public = key
    signed = sign(bundle, private)
    assert signed.signature is not None and check_signature(signed, [public]) == public
    other = OTHER_FORMS[form](signed.signature)
    assert other != signed.signature
    with pytest.raises(BundleError):
        check_signature(bundle_from_bytes(bundle_to_bytes(replace(signed, signature=other))), [public])


def test_a_public_key_has_one_form(key: tuple[Any, PublicKey]) -> None:
    kind, encoded, name = key[1].line.split()
    last = _next(encoded.encode()[-2]).decode()
    for line in (
        f"{kind} {encoded[:-2]}{last}= {name}",
        f"{kind} {encoded.rstrip('=')} {name}",
        f"X{kind} {encoded} {name}",
    ):
        with pytest.raises(KeyFileError):
            parse_public(line, "here")
    assert parse_public(f"  {kind}\t{encoded} {name}\r\n", "a mail") == key[1]


def test_a_public_key_is_one_line(key: tuple[Any, PublicKey]) -> None:
    assert parse_public(key[1].line + "\n", "here") == key[1]
    for line in ("", "ssh-ed25519 AAAA x", key[1].line + " more", key[1].line.replace("works", "../x"), "a b c"):
        with refused(KeyFileError, "not_a_public_key", path="here"):
            parse_public(line, "here")


def test_a_private_key_is_its_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "k"
    new_private(path, "me")
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with refused(KeyFileError, "exists", path=path):
        new_private(path, "me")
    assert path.read_bytes() == before
    path.chmod(0o640)
    with refused(KeyFileError, "open_to_others", path=path):
        read_private(path)


def test_a_passphrase_protects_the_file(tmp_path: Path) -> None:
    new_private(tmp_path / "k", "me", b"hunter2")
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()
    read_private(tmp_path / "k", b"hunter2")
    for wrong in (None, b"hunter3"):
        with refused(KeyFileError, "cannot_load", path=tmp_path / "k"):
            read_private(tmp_path / "k", wrong)


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(KeyFileError):
        read_private(tmp_path / "k")


def test_trusted_keys_are_those_in_the_folder(tmp_path: Path, key: tuple[Any, PublicKey]) -> None:
    assert trusted_keys(tmp_path / "trusted") == []
    trust(key[1], tmp_path / "trusted")
    trust(key[1], tmp_path / "trusted")
    assert trusted_keys(tmp_path / "trusted") == [key[1]]


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_that_others_may_write_is_not_trusted(tmp_path: Path, key: tuple[Any, PublicKey], mode: int) -> None:
    trust(key[1], tmp_path / "trusted")
    (tmp_path / "trusted").chmod(mode)
    with refused(KeyFileError, "writable_by_others", path=tmp_path / "trusted"):
        trusted_keys(tmp_path / "trusted")


@pytest.mark.parametrize("how", ["mode", "link", "folder link", "junk"])
def test_a_key_that_somebody_else_could_have_put_there_is_not_trusted(
    tmp_path: Path, key: tuple[Any, PublicKey], how: str
) -> None:
    folder = tmp_path / "trusted"
    path = trust(key[1], folder)
    if how == "mode":
        path.chmod(0o666)
    elif how == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "folder link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("junk")
    with pytest.raises(KeyFileError):
        trusted_keys(folder)


def test_a_folder_of_many_keys_is_refused(tmp_path: Path, key: tuple[Any, PublicKey]) -> None:
    folder = tmp_path / "trusted"
    trust(key[1], folder)
    for number in range(MOST_TRUSTED):
        (folder / f"{number}.pub").write_text(key[1].line)
    with refused(KeyFileError, "too_many_keys", path=folder, got=MOST_TRUSTED + 1, limit=MOST_TRUSTED):
        trusted_keys(folder)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_above_the_trusted_keys_that_others_may_write_is_refused(
    tmp_path: Path, key: tuple[Any, PublicKey], mode: int
) -> None:
    """Whoever may write it can put another folder in the place of the trusted one."""
    trust(key[1], tmp_path / "state" / "trusted")
    (tmp_path / "state").chmod(mode)
    folder = tmp_path / "state" / "trusted"
    with refused(KeyFileError, "writable_by_others", path=folder, place=tmp_path / "state") as caught:
        trusted_keys(folder)
    assert "chmod go-w" in str(caught.value)
