"""The Edge TPU: what runs on it, what it computes, and the cause named for each way that it does not come up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.bundle.open_model import open_classifier
from drsn_edge.bundle.variants import EDGETPU_MODEL, with_edgetpu
from drsn_edge.errors import BundleError, GateError, RuntimeUnavailableError
from drsn_edge.gateway.health_gate import run_gate
from drsn_edge.runtime import coral
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.runtime.coral import accelerators
from drsn_edge.runtime.names import RuntimeChoice
from drsn_edge.support.apart import NO_MESSAGE
from quantize.errors import ModelFileError, TargetError

WINDOWS = np.random.default_rng(5).normal(0, 2, (50, 1, 64, 2)).astype(np.float32)


def usb(root: Path, usb_id: str, bus: int = 1, number: int = 5) -> Path:
    """Put an accelerator into a made-up machine; return its folder in sysfs."""
    folder = root / "sys/bus/usb/devices" / f"{bus}-{number}"
    folder.mkdir(parents=True)
    vendor, product = usb_id.split(":")
    for name, value in {"idVendor": vendor, "idProduct": product, "busnum": bus, "devnum": number}.items():
        (folder / name).write_text(f"{value}\n")
    node = root / "dev/bus/usb" / f"{bus:03}" / f"{number:03}"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.write_bytes(b"")
    return folder


def choice(library: str, **values: Any) -> RuntimeChoice:
    return RuntimeChoice("edgetpu", edgetpu_library=library, **values)


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget that one came up: each test is a process of its own, so to say."""
    monkeypatch.setattr(coral, "_came_up", set())


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes the stand-in misbehave."""
    return lambda how: monkeypatch.setenv("EDGETPU_STANDIN", how)


def test_it_computes_the_model_that_it_was_compiled_of(edgetpu_bundle: Bundle, edgetpu_library: str) -> None:
    classifier = open_classifier(edgetpu_bundle, choice(edgetpu_library))
    assert classifier.runtime == "edgetpu"
    expected = Classifier(edgetpu_bundle.network, "numpy").codes(WINDOWS)
    np.testing.assert_array_equal(classifier.codes(WINDOWS), expected)
    assert len(np.unique(expected)) > 10


def test_without_the_library_a_compiled_model_does_not_run(edgetpu_bundle: Bundle) -> None:
    with refused(RuntimeUnavailableError, "cannot_load", runtime="litert") as caught:
        Classifier(edgetpu_bundle.extras[EDGETPU_MODEL], "litert")
    assert "edgetpu-custom-op" in str(caught.value)


def test_the_device_that_is_asked_for_is_opened(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETPU_STANDIN_LOG", str(tmp_path / "log"))
    open_classifier(edgetpu_bundle, choice(edgetpu_library, edgetpu_device="usb:1"))
    assert set((tmp_path / "log").read_text().splitlines()) == {"opened device=usb:1"}


def test_auto_takes_it_where_bundle_device_and_library_are_there(
    edgetpu_bundle: Bundle, golden_bundle: Bundle, edgetpu_library: str, tmp_path: Path
) -> None:
    auto = RuntimeChoice(edgetpu_library=edgetpu_library)
    assert open_classifier(edgetpu_bundle, auto, root=tmp_path).runtime == "litert"
    usb(tmp_path, "18d1:9302")
    assert open_classifier(edgetpu_bundle, auto, root=tmp_path).runtime == "edgetpu"
    assert open_classifier(golden_bundle, auto, root=tmp_path).runtime == "litert"
    absent = RuntimeChoice(edgetpu_library="libnone.so.1")
    assert open_classifier(edgetpu_bundle, absent, root=tmp_path).runtime == "litert"


def test_auto_says_why_it_does_without(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Callable[[str], None]
) -> None:
    usb(tmp_path, "18d1:9302")
    standin("crash")
    said: list[str] = []
    auto = RuntimeChoice(edgetpu_library=edgetpu_library)
    assert open_classifier(edgetpu_bundle, auto, said.append, tmp_path).runtime == "litert"
    assert "crashed (signal 6)" in said[0] and "CPU" in said[0]


def test_by_name_it_falls_back_only_where_that_was_allowed(
    edgetpu_bundle: Bundle, golden_bundle: Bundle, edgetpu_library: str, standin: Callable[[str], None]
) -> None:
    with refused(BundleError, "no_edgetpu_model"):
        open_classifier(golden_bundle, choice(edgetpu_library))
    standin("silent")
    with pytest.raises(RuntimeUnavailableError):
        open_classifier(edgetpu_bundle, choice(edgetpu_library))
    said: list[str] = []
    for bundle in (golden_bundle, edgetpu_bundle):
        classifier = open_classifier(bundle, choice(edgetpu_library, fallback="cpu"), said.append)
        assert classifier.runtime == "litert"
    assert len(said) == 2


@pytest.mark.parametrize(
    ("how", "device", "problem", "facts"),
    [
        ("silent", None, "not_connected", {"said": NO_MESSAGE}),
        ("silent", "18d1:9302", "does_not_start", {"said": NO_MESSAGE}),
        ("say Failed to open device", "18d1:9302", "does_not_start", {"said": "Failed to open device"}),
        ("crash", "18d1:9302", "library_crashed", {"signal": 6}),
    ],
)
def test_the_cause_is_named(
    edgetpu_bundle: Bundle,
    edgetpu_library: str,
    tmp_path: Path,
    standin: Any,
    how: str,
    device: str | None,
    problem: str,
    facts: dict[str, Any],
) -> None:
    if device is not None:
        usb(tmp_path, device)
    standin(how)
    with refused(RuntimeUnavailableError, problem, library=edgetpu_library, **facts) as caught:
        open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path)
    assert str(facts.get("said", "signal 6")) in str(caught.value)


def test_a_library_that_is_missing_or_of_another_system_is_named(edgetpu_bundle: Bundle, tmp_path: Path) -> None:
    with refused(RuntimeUnavailableError, "library_fault", library="libnone.so.1") as missing:
        open_classifier(edgetpu_bundle, choice("libnone.so.1"))
    assert "Install libedgetpu1-std" in str(missing.value)
    library = tmp_path / "libedgetpu.so.1"
    library.write_bytes(b"\x7fELF of another machine" * 10)
    with refused(RuntimeUnavailableError, "library_fault", library=library) as other:
        open_classifier(edgetpu_bundle, choice(str(library)))
    assert "Install libedgetpu1-std" not in str(other.value)


def test_a_device_that_this_user_may_not_open_is_named(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb(tmp_path, "18d1:9302")
    monkeypatch.setattr(os, "access", lambda *_: False)
    standin("silent")
    with refused(RuntimeUnavailableError, "not_permitted", node=tmp_path / "dev/bus/usb/001/005"):
        open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path)


def test_a_device_that_another_program_has_is_named(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb(tmp_path, "18d1:9302")
    monkeypatch.setattr(coral, "holders_of", lambda paths: {path: ((77, "frigate"),) for path in paths})
    standin("say busy")
    with refused(RuntimeUnavailableError, "in_use", node=tmp_path / "dev/bus/usb/001/005", holders=((77, "frigate"),)):
        open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path)


def test_one_that_comes_back_with_its_firmware_is_waited_for(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Any
) -> None:
    folder = usb(tmp_path, "1a6e:089a")
    assert not accelerators(tmp_path)[0].ready
    standin(f"enumerate {folder}")
    assert open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path).runtime == "edgetpu"
    assert accelerators(tmp_path)[0].ready


def test_one_that_is_gone_by_the_next_bundle_is_named_too(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Any
) -> None:
    open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path)
    standin("silent")
    with refused(RuntimeUnavailableError, "not_connected"):
        open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path)


def test_one_that_does_not_come_back_is_not_waited_for_without_end(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb(tmp_path, "1a6e:089a")
    monkeypatch.setattr(coral, "_ENUMERATION_S", 0.3)
    standin("silent")
    with refused(
        RuntimeUnavailableError, "does_not_start", device="Coral USB accelerator (1a6e:089a, before its first use)"
    ):
        open_classifier(edgetpu_bundle, choice(edgetpu_library), root=tmp_path)


def test_one_that_this_process_holds_runs_the_next_bundle_too(
    edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path, standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin(f"exclusive {tmp_path / 'held'}")
    before = open_classifier(edgetpu_bundle, choice(edgetpu_library))
    assert open_classifier(edgetpu_bundle, choice(edgetpu_library)).runtime == before.runtime == "edgetpu"
    write_bundle(edgetpu_bundle, tmp_path / "b.drsn")
    with pytest.raises(GateError) as raised:  # in another process
        run_gate(tmp_path / "b.drsn", choice(edgetpu_library))
    assert "device is busy" in str(raised.value)  # what the library says
    assert run_gate(tmp_path / "b.drsn", choice(edgetpu_library, fallback="cpu")).runtime == "litert"


def test_cards_are_found_too(tmp_path: Path) -> None:
    assert accelerators(tmp_path) == []
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "apex_0").write_bytes(b"")
    usb(tmp_path, "1d6b:0002")  # a hub
    (found,) = accelerators(tmp_path)
    assert (found.words, found.ready, found.allowed) == ("Coral at /dev/apex_0", True, True)


def test_a_gate_runs_the_variant(edgetpu_bundle: Bundle, edgetpu_library: str, tmp_path: Path) -> None:
    write_bundle(edgetpu_bundle, tmp_path / "b.drsn")
    measured = run_gate(tmp_path / "b.drsn", choice(edgetpu_library))
    assert (measured.runtime, measured.rms_lsb, measured.reference_differs) == ("edgetpu", 0.0, 0)


def test_what_is_no_variant_of_the_model_is_refused(
    edgetpu_bundle: Bundle, golden_bundle: Bundle, tiny_models: Callable[[str], bytes]
) -> None:
    compiled = edgetpu_bundle.extras[EDGETPU_MODEL]
    with refused(TargetError, "not_compiled") as caught:
        with_edgetpu(edgetpu_bundle, edgetpu_bundle.network)
    assert str(caught.value.facts["operators"]).startswith("ADD, ")
    with refused(TargetError, "other_model", end="inputs"):
        with_edgetpu(golden_bundle, compiled.replace(np.int32(64).tobytes(), np.int32(32).tobytes()))
    with pytest.raises(ModelFileError):
        with_edgetpu(edgetpu_bundle, compiled[: len(compiled) // 2])
