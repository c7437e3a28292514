"""A coverage-guided fuzz of the bundle reader. Needs atheris 3.0.0, which has wheels for Python 3.11.

    python tests/bundle/fuzz_bundle.py -max_total_time=60 -rss_limit_mb=512 -timeout=5

What comes in is a good bundle with bytes changed, a zip of fuzzed members, or a bundle with a fuzzed manifest, golden
vectors, novelty or signature. Whatever it is: nothing but BundleError is raised, and what is taken is written as it
came.
"""

from __future__ import annotations

import io
import json
import sys
import warnings
import zipfile
from typing import Any

import atheris

with atheris.instrument_imports(include=["drsn_edge", "zipfile"]):
    from drsn_edge.bundle.bundle import Bundle, bundle_from_bytes, bundle_to_bytes, sha256, with_extra
    from drsn_edge.bundle.golden import golden_of
    from drsn_edge.bundle.golden_novelty import golden_novelty_of
    from drsn_edge.bundle.manifest import Budget, Manifest, manifest_to_bytes
    from drsn_edge.bundle.open_model import novelty_of
    from drsn_edge.bundle.promise import Promise, RiskPoint
    from drsn_edge.bundle.signing import PublicKey, check_signature
    from drsn_edge.errors import BundleError
    from drsn_edge.runtime.tensor import TensorSpec
    from drsn_edge.signal.contract import SignalContract
    from drsn_edge.signal.windows import Scaling

KEY = PublicKey(bytes(range(32)), "fuzz")
MANIFEST = Manifest(
    "fuzz",
    "1.2.3",
    SignalContract(4000.0, ("x",), "g", 8, 4, Scaling("rms")),
    ("a", "b"),
    TensorSpec("window", (1, 1, 8, 1), 0.5, 0),
    (TensorSpec("logits", (1, 2), 0.1, 0),),
    {"model.tflite": sha256(b"model")},
    "fuzz",
    budget=Budget(1.0, 1.0),
    promise=Promise(1.5, "another rpm", 2, 90, (RiskPoint(0.5, 0.04, 0.9, 0.97),)),
)
WITHOUT_NETWORK = Manifest("fuzz", "1.2.3", MANIFEST.contract, ("ok",), None, (), {}, "fuzz")
SIGNATURE = json.dumps({"schema": 1, "key": KEY.id, "ed25519": "A" * 86 + "=="}).encode()
GOOD = bundle_to_bytes(Bundle(MANIFEST, b"model", signature=SIGNATURE))


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    make = (_changed, _zip, _manifest, _golden, _signed, _without_network)[given.ConsumeIntInRange(0, 5)]
    check(make(given))


def _changed(given: Any) -> bytes:
    data = bytearray(GOOD)
    for _ in range(given.ConsumeIntInRange(0, 4)):
        place = given.ConsumeIntInRange(0, len(data))
        data[place : place + given.ConsumeIntInRange(0, 6)] = given.ConsumeBytes(given.ConsumeIntInRange(0, 6))
    return bytes(data)


def _zip(given: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(given.ConsumeIntInRange(0, 4)):
            names = ["manifest.json", "model.tflite", "manifest.sig", given.ConsumeUnicodeNoSurrogates(8)]
            info = zipfile.ZipInfo(names[given.ConsumeIntInRange(0, 3)] or "x")
            info.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[given.ConsumeBool()]
            info.external_attr = given.ConsumeIntInRange(0, 2**32 - 1)
            contents = [manifest_to_bytes(MANIFEST), b"model", given.ConsumeBytes(40)]
            archive.writestr(info, contents[given.ConsumeIntInRange(0, 2)])
    return buffer.getvalue()


def _manifest(given: Any) -> bytes:
    text = bytearray(manifest_to_bytes((MANIFEST, WITHOUT_NETWORK)[given.ConsumeBool()]))
    for _ in range(given.ConsumeIntInRange(1, 3)):
        place = given.ConsumeIntInRange(0, len(text))
        text[place : place + given.ConsumeIntInRange(0, 12)] = given.ConsumeBytes(given.ConsumeIntInRange(0, 24))
    members = {"manifest.json": bytes(text), "model.tflite": b"model"}
    return _packed(members)


def _packed(members: dict[str, bytes]) -> bytes:
    from drsn_edge.bundle.bundle import _to_zip

    return _to_zip(members)


def _golden(given: Any) -> bytes:
    return bundle_to_bytes(with_extra(Bundle(MANIFEST, b"model"), "golden.npz", given.ConsumeBytes(400)))


def _signed(given: Any) -> bytes:
    return bundle_to_bytes(Bundle(MANIFEST, b"model", signature=given.ConsumeBytes(300)))


def _without_network(given: Any) -> bytes:
    bundle = with_extra(Bundle(WITHOUT_NETWORK, None), "novelty.npz", given.ConsumeBytes(200))
    return bundle_to_bytes(with_extra(bundle, "golden.npz", given.ConsumeBytes(200)))


def check(data: bytes) -> None:
    try:
        found = bundle_from_bytes(data)
    except BundleError:
        return
    assert bundle_to_bytes(found) == data
    of_golden = golden_of if found.manifest.has_network else golden_novelty_of
    for use in (of_golden, novelty_of, lambda bundle: check_signature(bundle, [KEY])):
        try:
            taken = use(found)
        except BundleError:
            continue
        else:
            assert taken is None, "a member or a signature that nobody made was taken"


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
