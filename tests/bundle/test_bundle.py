"""The bundle file: the same bytes for the same content, and nothing but BundleError from any other bytes."""

from __future__ import annotations

import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.bundle import bundle as bundle_module
from drsn_edge.bundle.bundle import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_MEMBERS,
    MODEL,
    Bundle,
    Written,
    bundle_from_bytes,
    bundle_to_bytes,
    read_bundle,
    sha256,
    with_extra,
    write_bundle,
)
from drsn_edge.bundle.manifest import manifest_to_bytes
from drsn_edge.errors import BundleDamagedError, BundleError, BundleLayoutError, BundleLimitError, OutputError

CENTRAL_SIZES = 20
"""Offset of the two sizes in a central directory entry (APPNOTE.TXT 4.3.12); 18 in a local header (4.3.7)."""


def zipped(members: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def parts_of(bundle: Bundle) -> list[tuple[str, bytes]]:
    return [(MANIFEST, manifest_to_bytes(bundle.manifest)), (MODEL, bundle.network)]


def content_or_none(data: bytes) -> Bundle | None:
    try:
        return bundle_from_bytes(data)
    except BundleError:
        return None


def test_round_trip(bundle: Bundle) -> None:
    assert bundle_from_bytes(bundle_to_bytes(bundle)) == bundle


def test_the_same_content_gives_the_same_bytes(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle_to_bytes(bundle)
    monkeypatch.setattr("time.localtime", lambda *_: (2031, 5, 4, 3, 2, 1, 0, 0, 0))
    assert bundle_to_bytes(replace(bundle, manifest=replace(bundle.manifest))) == first
    assert {info.date_time for info in zipfile.ZipFile(io.BytesIO(first)).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_file_comes_back_as_it_was_written(bundle: Bundle, tmp_path: Path) -> None:
    size = write_bundle(bundle, tmp_path / "m.drsn")
    assert (tmp_path / "m.drsn").read_bytes() == bundle_to_bytes(bundle)
    assert size == (tmp_path / "m.drsn").stat().st_size
    assert read_bundle(tmp_path / "m.drsn") == bundle


def test_no_flipped_bit_is_taken(bundle: Bundle) -> None:
    data = bundle_to_bytes(bundle)
    for position in range(len(data)):
        for bit in (1 << shift for shift in range(8)):
            damaged = bytearray(data)
            damaged[position] ^= bit
            assert content_or_none(bytes(damaged)) is None, f"byte {position} ^ {bit:#x}"


def test_no_truncated_bundle_is_taken(bundle: Bundle) -> None:
    data = bundle_to_bytes(bundle)
    assert [length for length in range(len(data)) if content_or_none(data[:length]) is not None] == []


@given(st.binary(max_size=200))
def test_other_bytes_are_no_bundle(data: bytes) -> None:
    with refused(BundleDamagedError, "not_a_zip"):
        bundle_from_bytes(data)


@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=20))
def test_overwritten_bytes_raise_nothing_but_bundle_errors(bundle: Bundle, position: int, patch: bytes) -> None:
    data = bytearray(bundle_to_bytes(bundle))
    position %= len(data)
    data[position : position + len(patch)] = patch
    assert content_or_none(bytes(data)) in (None, bundle)


def test_duplicate_members_are_refused(bundle: Bundle) -> None:
    with refused(BundleLayoutError, "duplicate_member"):
        bundle_from_bytes(zipped([*parts_of(bundle), (MODEL, b"another")]))


def test_too_many_members_are_refused(bundle: Bundle) -> None:
    extra = [(f"part{number}", b"") for number in range(MAX_MEMBERS)]
    with refused(BundleLimitError, "too_many_members", limit=MAX_MEMBERS):
        bundle_from_bytes(zipped([*parts_of(bundle), *extra]))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused(bundle: Bundle, method: int) -> None:
    with refused(BundleLayoutError, "compressed_or_link", member=MANIFEST):
        bundle_from_bytes(zipped(parts_of(bundle), method))


@pytest.mark.parametrize("missing", [MANIFEST, MODEL])
def test_missing_members_are_named(bundle: Bundle, missing: str) -> None:
    (left,) = {MANIFEST, MODEL} - {missing}
    with refused(BundleError, "members_missing", got=left):
        bundle_from_bytes(zipped([part for part in parts_of(bundle) if part[0] != missing]))


def test_an_empty_zip_is_no_bundle() -> None:
    with refused(BundleError, "members_missing", got="nothing"):
        bundle_from_bytes(zipped([]))


def test_members_that_the_manifest_does_not_list_are_refused(bundle: Bundle) -> None:
    with refused(BundleLayoutError, "other_members", expected=[MODEL], got=["extra.bin", MODEL]):
        bundle_from_bytes(zipped([*parts_of(bundle), ("extra.bin", b"x")]))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/absolute", "sub/", "sub/x", "C:\\x", MANIFEST.upper(), ".x"])
def test_names_that_lead_elsewhere_are_refused_even_if_the_manifest_lists_them(bundle: Bundle, name: str) -> None:
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, name: sha256(b"x")})
    members = [(MANIFEST, manifest_to_bytes(manifest)), (MODEL, bundle.network), (name, b"x")]
    with refused(BundleLayoutError, "member_name", member=name):
        bundle_from_bytes(zipped(members))


def test_a_link_in_the_archive_is_refused(bundle: Bundle) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(MANIFEST, manifest_to_bytes(bundle.manifest))
        link = zipfile.ZipInfo(MODEL)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, bundle.network)
    with refused(BundleLayoutError, "compressed_or_link", member=MODEL):
        bundle_from_bytes(buffer.getvalue())


@pytest.mark.parametrize("trick", ["prefix", "suffix", "comment", "gap", "order", "date"])
def test_a_zip_with_anything_beside_its_members_is_refused(bundle: Bundle, trick: str) -> None:
    data = bundle_to_bytes(bundle)
    end = len(data) - 22
    changed = {
        "prefix": b"#!/bin/sh\n" + data,
        "suffix": data + b"\0",
        "comment": data[:-2] + b"\1\0x",
        "gap": data[:end] + b"\0" * 8 + data[end:],
        "order": zipped(reversed(parts_of(bundle))),
        "date": zipped(parts_of(bundle)),
    }[trick]
    with pytest.raises((BundleLayoutError, BundleDamagedError)):
        bundle_from_bytes(changed)


def test_a_directory_of_millions_costs_nothing(bundle: Bundle) -> None:
    """A zip of a few megabytes may list a hundred thousand empty members, each an object in memory."""
    entry = bundle_to_bytes(bundle)
    first = entry.index(b"PK\1\2")
    directory = entry[first : entry.index(b"PK\1\2", first + 4)] * 100_000
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), first, 0)
    with refused(BundleLimitError, "too_many_members"):
        bundle_from_bytes(entry[:first] + directory + end)
    with refused(BundleLimitError, "too_many_members"):
        bundle_from_bytes(entry[:first] + directory + b"PK\6\7" + b"\0" * 16 + end[:12] + b"\0" * 10)


def test_a_small_file_that_says_it_is_large_is_refused_before_it_is_unpacked(bundle: Bundle) -> None:
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, "bomb.bin": sha256(b"")})
    members = [(MANIFEST, manifest_to_bytes(manifest)), (MODEL, bundle.network), ("bomb.bin", b"\0" * (80 << 20))]
    packed = zipped(members, zipfile.ZIP_DEFLATED)
    assert len(packed) < 200_000
    with refused(BundleLayoutError, "compressed_or_link"):
        bundle_from_bytes(packed)


def test_a_later_version_may_add_members_and_fields(bundle: Bundle) -> None:
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, "golden.npz": sha256(b"later")})
    text = of_later(manifest_to_bytes(manifest))
    later = Bundle(manifest, bundle.model, {"golden.npz": b"later"}, written=Written(manifest, text))
    found = bundle_from_bytes(bundle_to_bytes(later))
    assert found == later
    assert found.manifest_bytes == text


def of_later(manifest: bytes) -> bytes:
    """Return a manifest with a field that a later version may add."""
    values = {**json.loads(manifest), "later": [1, None]}
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def test_a_manifest_that_is_another_one_since_it_was_read_is_the_one_that_is_written(bundle: Bundle) -> None:
    read = bundle_from_bytes(bundle_to_bytes(bundle))
    newer = replace(read, manifest=replace(read.manifest, version="2.0.0"))
    assert bundle_from_bytes(bundle_to_bytes(newer)).manifest.version == "2.0.0"


def test_further_members_come_back_with_their_digests(bundle: Bundle) -> None:
    more = with_extra(with_extra(bundle, "report.json", b"{}"), "golden.npz", b"windows")
    found = bundle_from_bytes(bundle_to_bytes(more))
    assert found == more
    assert found.extras == {"golden.npz": b"windows", "report.json": b"{}"}
    assert found.manifest.parts["report.json"] == sha256(b"{}")
    assert bundle.extras == {} and "report.json" not in bundle.manifest.parts


def test_the_order_in_which_members_are_added_does_not_change_the_bytes(bundle: Bundle) -> None:
    one = with_extra(with_extra(bundle, "a.json", b"1"), "b.json", b"2")
    other = with_extra(with_extra(bundle, "b.json", b"2"), "a.json", b"1")
    assert bundle_to_bytes(one) == bundle_to_bytes(other)


def test_a_further_member_that_changed_is_refused_at_both_ends(bundle: Bundle) -> None:
    more = with_extra(bundle, "report.json", b"{}")
    with refused(BundleDamagedError, "wrong_digest", member="report.json"):
        bundle_to_bytes(replace(more, extras={"report.json": b"[]"}))
    members = [(MANIFEST, manifest_to_bytes(more.manifest)), (MODEL, more.network), ("report.json", b"[]")]
    with refused(BundleDamagedError, "wrong_digest", member="report.json"):
        bundle_from_bytes(zipped(members))


@pytest.mark.parametrize("name", ["", MANIFEST, MODEL, "../x", "a/b", ".hidden", "a b", "REPORT.JSON", "a\n"])
def test_names_that_are_none_are_refused(bundle: Bundle, name: str) -> None:
    with refused(BundleError, "member_name", name=name):
        with_extra(bundle, name, b"")


def test_a_listed_member_that_is_not_there_is_refused(bundle: Bundle) -> None:
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, "golden.npz": sha256(b"")})
    with refused(BundleLayoutError, "other_members", expected=["golden.npz", MODEL], got=[MODEL]):
        bundle_from_bytes(zipped([(MANIFEST, manifest_to_bytes(manifest)), (MODEL, bundle.network)]))


def test_a_model_with_another_digest_is_refused_at_both_ends(bundle: Bundle) -> None:
    with refused(BundleDamagedError, "wrong_digest", member=MODEL):
        bundle_from_bytes(zipped([parts_of(bundle)[0], (MODEL, b"swapped")]))
    with refused(BundleDamagedError, "wrong_digest", member=MODEL):
        bundle_to_bytes(replace(bundle, model=b"swapped"))


def test_members_larger_than_allowed_are_refused_before_they_are_read(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "MAX_MEMBER_BYTES", len(bundle.network))
    assert bundle_from_bytes(bundle_to_bytes(bundle)) == bundle
    monkeypatch.setattr(bundle_module, "MAX_MEMBER_BYTES", len(bundle.network) - 1)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was read"))
    with refused(BundleLimitError, "member_too_large", member=MODEL, limit=len(bundle.network) - 1):
        bundle_from_bytes(bundle_to_bytes(bundle))


def test_a_real_manifest_that_is_too_large_is_refused(bundle: Bundle) -> None:
    padded = manifest_to_bytes(bundle.manifest) + b" " * MAX_MANIFEST_BYTES
    with refused(BundleLimitError, "member_too_large", member=MANIFEST, limit=MAX_MANIFEST_BYTES):
        bundle_from_bytes(zipped([(MANIFEST, padded), parts_of(bundle)[1]]))


@pytest.mark.parametrize("declared", [0, 1, 2**20, 2**31, 2**32 - 2, 2**32 - 1])
def test_declared_sizes_are_not_trusted(bundle: Bundle, declared: int) -> None:
    data = bytearray(bundle_to_bytes(bundle))
    entry = data.rindex(b"PK\x01\x02")  # the model's
    struct.pack_into("<II", data, entry + CENTRAL_SIZES, declared, declared)
    with pytest.raises(BundleError):
        bundle_from_bytes(bytes(data))


@pytest.mark.parametrize("folder", ["", "missing/", "file/"])
def test_an_unwritable_target_leaves_nothing(bundle: Bundle, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "m.drsn").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError):
        write_bundle(bundle, tmp_path / f"{folder}m.drsn")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_bundle_does_not_replace_a_good_one(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "m.drsn")
    with pytest.raises(BundleError):
        write_bundle(replace(bundle, model=b"swapped"), tmp_path / "m.drsn")
    assert read_bundle(tmp_path / "m.drsn") == bundle
    assert [path.name for path in tmp_path.iterdir()] == ["m.drsn"]


def test_reading_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    missing, garbage = tmp_path / "missing.drsn", tmp_path / "garbage.drsn"
    with refused(BundleError, "unreadable", path=missing, reason="No such file or directory") as caught:
        read_bundle(missing)
    assert str(missing) in str(caught.value) and "drsn-edge convert" in str(caught.value)
    with refused(BundleError, "unreadable", path=tmp_path, reason="Is a directory"):
        read_bundle(tmp_path)
    garbage.write_bytes(b"garbage")
    with refused(BundleDamagedError, "not_a_zip", path=garbage) as damaged:
        read_bundle(garbage)
    assert str(damaged.value).startswith(f"{garbage}: ")


def test_a_file_of_any_size_is_read_up_to_the_limit_only(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = write_bundle(bundle, tmp_path / "m.drsn")
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", size)
    assert read_bundle(tmp_path / "m.drsn") == bundle
    with (tmp_path / "larger.drsn").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with refused(BundleLimitError, "file_too_large", path=tmp_path / "larger.drsn", limit=size):
        read_bundle(tmp_path / "larger.drsn")
    with refused(BundleError, "unreadable", path="/dev/zero"):
        read_bundle(Path("/dev/zero"))


def test_writing_makes_the_file_once_and_reading_parses_the_manifest_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for name in ("_to_zip", "manifest_from_bytes"):
        real = getattr(bundle_module, name)
        monkeypatch.setattr(bundle_module, name, lambda data, name=name, real=real: (made.append(name), real(data))[1])
    write_bundle(bundle, tmp_path / "b.drsn")
    assert made.count("_to_zip") == 1
    made.clear()
    assert read_bundle(tmp_path / "b.drsn") == bundle
    assert made == ["manifest_from_bytes", "_to_zip"]
