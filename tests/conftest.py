"""What the tests of all packages share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import MODEL, Bundle, bundle_to_bytes, sha256, with_extra, write_bundle
from drsn_edge.bundle.golden import MEMBER as GOLDEN
from drsn_edge.bundle.golden import golden_to_bytes, make_golden
from drsn_edge.bundle.manifest import Budget, Manifest
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.windows import Scaling

if TYPE_CHECKING:
    from parallel import MadeOnce

pytest_plugins = ["parallel", "small_training"]

# No time limits, which fail where others work on the same cores. The same examples each time, so that a failure is of
# the change at hand; `make proof` searches for others.
settings.register_profile("any machine", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=3000)
settings.register_profile("emulator", deadline=None, derandomize=True, max_examples=10)
settings.load_profile("any machine")


def give_up(reason: str) -> NoReturn:
    """Skip a test for what this machine lacks, or fail it where all parts are required, as in CI."""
    if os.environ.get("DRSN_EDGE_REQUIRE_PARTS"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real recordings."""
    folder = os.environ.get("DRSN_EDGE_TEST_DATA")
    if folder and (Path(folder) / "cwru").is_dir():
        return Path(folder)
    give_up(f"DRSN_EDGE_TEST_DATA does not name the folder of real recordings (it is {folder!r})")


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """Return what gives up unless all of the programs that it is told are on the PATH."""

    def check(*programs: str) -> None:
        if missing := [program for program in programs if shutil.which(program) is None]:
            give_up(f"{', '.join(missing)} not on this machine")

    return check


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests, and what they start, away from this machine's own gateway and keys."""
    folder = tmp_path_factory.mktemp("gateway")
    os.environ.update(DRSN_EDGE_STATE=str(folder / "state"), XDG_CONFIG_HOME=str(folder / "config"))
    os.environ.pop("DRSN_EDGE_TRUST", None)


@pytest.fixture(scope="session")
def tiny_contract() -> SignalContract:
    return SignalContract(4000.0, ("x", "y"), "g", window=64, hop=32, scaling=Scaling("rms"))


@pytest.fixture(scope="session")
def tiny_models(tiny_contract: SignalContract, made_once: MadeOnce) -> Callable[[str], bytes]:
    """Return what converts, for a target, a network of one block with random weights: it runs, and knows nothing.

    Where there is no TensorFlow, DRSN_EDGE_TEST_MODELS names a folder of such models from another machine.
    """

    def convert(target: str, folder: Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        keras = pytest.importorskip("keras", reason="making a model needs the extra `train`")
        from drsn_edge.models.config import DrsnConfig, Stage
        from drsn_edge.models.drsn import build_model
        from quantize.convert import to_int8

        keras.utils.set_random_seed(1)
        shape = (tiny_contract.window, len(tiny_contract.axes))
        network = build_model(DrsnConfig(*shape, 3, 4, 5, 4, (Stage(4, 1, 2),), 3))
        windows = np.random.default_rng(0).normal(size=(16, 1, *shape)).astype(np.float32)
        (folder / f"{target}.tflite").write_bytes(to_int8(network, windows, target).data)

    def read(target: str) -> bytes:
        ready = os.environ.get("DRSN_EDGE_TEST_MODELS")
        folder = Path(ready) if ready else made_once(f"tiny-{target}", partial(convert, target))
        return (folder / f"{target}.tflite").read_bytes()

    return read


@pytest.fixture(scope="session")
def tiny_model(tiny_models: Callable[[str], bytes]) -> bytes:
    return tiny_models("cpu")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_model: bytes, tiny_contract: SignalContract) -> Bundle:
    classifier = Classifier(tiny_model)
    manifest = Manifest(
        name="tiny",
        version="1.0.0",
        contract=tiny_contract,
        labels=("calm", "worn", "loud"),
        input=classifier.input,
        outputs=(classifier.output,),
        parts={MODEL: sha256(tiny_model)},
        generator="tests",
        noise_limit=1.0,  # the signals of most tests are noise
    )
    return Bundle(manifest, tiny_model)


@pytest.fixture(scope="session")
def golden_bundle(tiny_bundle: Bundle) -> Bundle:
    windows = np.random.default_rng(3).normal(size=(16, 64, 2)).astype(np.float32)
    golden = make_golden(tiny_bundle.network, tiny_bundle.manifest.contract, windows, None)
    manifest = replace(tiny_bundle.manifest, golden_tolerance_lsb=3.0, budget=Budget(500.0, 200.0))
    return with_extra(replace(tiny_bundle, manifest=manifest), GOLDEN, golden_to_bytes(golden))


@pytest.fixture(scope="session")
def healthy_windows() -> NDArray[np.float32]:
    """Return windows of a healthy machine, by the contract above: white noise of 0.1 g on both axes."""
    return np.random.default_rng(7).normal(scale=0.1, size=(200, 64, 2)).astype(np.float32)


@pytest.fixture(scope="session")
def healthy_bundle_of_noise(tiny_contract: SignalContract, healthy_windows: NDArray[np.float32]) -> Bundle:
    """Return a bundle without a network that knows white noise."""
    from drsn_edge.bundle.healthy import HealthyOptions, healthy_bundle
    from drsn_edge.signal.novelty import Novelty, features

    logs = features(healthy_windows, 4)
    mean = logs.mean(axis=0, keepdims=True)
    limit = 1.5 * float(np.sqrt(np.square(logs - mean).sum(axis=1)).max())
    limits, levels = np.array([limit], np.float32), np.array([0.1])
    novelty = Novelty(4, np.eye(8, dtype=np.float32), mean, limits, 0.09, 0.11, levels=levels)
    options = HealthyOptions("pump", "1.0.0", unknown_share=0.01, noise_limit=1.0, budget=Budget(500.0, 200.0))
    return healthy_bundle(novelty, tiny_contract, options, healthy_windows)


@pytest.fixture(scope="session")
def edgetpu_library(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., None]) -> str:
    """Return the path of a stand-in for libedgetpu."""
    need("cc")
    library = tmp_path_factory.mktemp("edgetpu") / "libedgetpu.so.1"
    source = Path(__file__).with_name("edgetpu") / "standin.c"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)
    return str(library)


@pytest.fixture
def edgetpu_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for Coral's compiler on the PATH, for the library above."""
    pytest.importorskip("flatbuffers", reason="the stand-in for Coral's compiler writes files with it")
    program = tmp_path / "bin" / "edgetpu_compiler"
    program.parent.mkdir()
    compiler = Path(__file__).with_name("edgetpu") / "compiler.py"
    repository = Path(__file__).parents[1]
    program.write_text(f'#!/bin/sh\nPYTHONPATH={repository} exec {sys.executable} {compiler} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.fixture
def edgetpu_bundle(
    golden_bundle: Bundle, tiny_models: Callable[[str], bytes], edgetpu_compiler: None, edgetpu_library: str
) -> Bundle:
    """Return a bundle with a variant for the Edge TPU, which the stand-in runs."""
    from drsn_edge.bundle.variants import with_edgetpu
    from quantize.targets.edgetpu_compiler import compile_model

    model = tiny_models("edgetpu")
    classifier = Classifier(model, "numpy")
    contract = golden_bundle.manifest.contract
    golden = make_golden(model, contract, np.random.default_rng(3).normal(size=(16, 64, 2)).astype(np.float32), None)
    manifest = replace(
        golden_bundle.manifest,
        input=classifier.input,
        outputs=(classifier.output,),
        parts={MODEL: sha256(model)},
    )
    compiled = compile_model(model)
    assert compiled is not None
    return with_edgetpu(with_extra(Bundle(manifest, model), GOLDEN, golden_to_bytes(golden)), compiled.model)


@pytest.fixture
def signed(tmp_path: Path) -> Callable[[Bundle], bytes]:
    """Return what signs a bundle with a key that is trusted in `store`."""
    from drsn_edge.bundle.signing import new_private, read_private, sign, trust

    trust(new_private(tmp_path / "signing.key", "works"), tmp_path / "trusted")
    key = read_private(tmp_path / "signing.key")
    return lambda bundle: bundle_to_bytes(sign(bundle, key))


@pytest.fixture(scope="session")
def tiny_bundle_path(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny.drsn"
    write_bundle(tiny_bundle, path)
    return path


@pytest.fixture(scope="session")
def trained_run(made_once: MadeOnce) -> Path:
    """Return the run folder of a small training on simulated machines, healthy and with imbalance."""

    def make(folder: Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        pytest.importorskip("keras", reason="training needs the extra `train`")
        from drsn_edge.evaluation.after_training import evaluate
        from drsn_edge.simulation.simulator import simulate_dataset
        from drsn_edge.training.run_folder import save_run
        from drsn_edge.training.settings import ResearchSettings, TrainSettings
        from drsn_edge.training.train import train

        small = ResearchSettings(batch_size=8)
        settings = TrainSettings("time=0.3", "nano", window=256, hop=128, epochs=8, learning_rate=1e-2, research=small)
        training = train(simulate_dataset(("healthy", "imbalance"), n_machines=3, duration_s=2.0), settings)
        save_run(training, evaluate(training), folder / "pump")

    return made_once("trained", make) / "pump"


@pytest.fixture(scope="session")
def trained_bundle(trained_run: Path, made_once: MadeOnce) -> Path:
    """Return the bundle of `trained_run`."""

    def make(folder: Path) -> None:
        from drsn_edge.conversion.convert import BundleOptions, convert_run
        from drsn_edge.training.run_folder import load_run
        from quantize.convert import Tolerance

        tolerance = Tolerance(max_drop=0.05)
        conversion = convert_run(load_run(trained_run), BundleOptions("pump", "1.2.3"), tolerance)
        write_bundle(conversion.bundle, folder / "pump.drsn")

    return made_once("bundled", make) / "pump.drsn"
