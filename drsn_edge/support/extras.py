"""The command that installs an extra, from where the user got the project: no package index has it."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from drsn_edge import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "drsn-edge"

_TRAIN_MODULES = ("tensorflow", "keras", "rich", "scipy", "sklearn", "joblib", "tomli_w")
_PLOTS_MODULES = ("matplotlib", "jinja2")
_FORMATS_MODULES = ("cbor2", "h5py", "nptdms", "pyarrow", "pyuff")
_TRAIN_COMMANDS = ("search", "train", "convert", "evaluate", "demo", "reproduce")
EXTRA_OF = {
    **dict.fromkeys(_TRAIN_MODULES, "train"),
    **dict.fromkeys(_PLOTS_MODULES, "plots"),
    **dict.fromkeys(_FORMATS_MODULES, "formats"),
    "paho": "mqtt",
    "prometheus_client": "metrics",
    "cryptography": "signing",
    "dask": "cluster",
    "distributed": "cluster",
}
"""Modules that the gateway's install omits, and the extra that installs them."""


def missing_module(name: str, command: str | None = None) -> str | None:
    """Return a sentence about a module that could not be imported, with what to type; None if no extra installs it.

    Args:
        name: Name of the module.
        command: Command that needed it; a command for a workstation needs the extra `train`.
    """
    extra = EXTRA_OF.get(name.partition(".")[0])
    if extra is None:
        return None
    if extra == "plots" and command in _TRAIN_COMMANDS:
        extra = "train"
    return f"The module {name} is not installed; the extra `{extra}` installs it. Type: {pip_line(extra)}"


def pip_line(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"{_install()} {_source(extra, Path(__file__).parents[2], _distribution())}"


def _install() -> str:
    """Return the install command of this Python's pip (`pip install` if it is on PATH), or of uv without pip."""
    own, found = Path(sys.executable).parent / "pip", shutil.which("pip")
    if found is not None and Path(found) == own:
        return "pip install"
    python = shlex.quote(sys.executable or "python3")
    if find_spec("pip") is None and shutil.which("uv") is not None:
        return f"uv pip install --python {python}"
    return f"{python} -m pip install"


def _distribution() -> Distribution | None:
    from importlib.metadata import PackageNotFoundError, distribution  # 20 ms, for words that are rarely needed

    try:
        return distribution(NAME)
    except PackageNotFoundError:
        return None


def _source(extra: str, folder: Path, installed: Distribution | None) -> str:
    """Return the argument of `pip install`.

    Args:
        extra: Extra to install.
        folder: Folder that holds the packages.
        installed: Metadata of the installation; None: the code runs from a folder that pip did not install.
    """
    if (folder / "pyproject.toml").is_file():  # a clone, installed editable or not at all
        return f"-e {shlex.quote(f'{folder}[{extra}]')}"
    origin = _origin(installed)
    url = str(origin.get("url", ""))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return shlex.quote(f"{NAME}[{extra}] @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', 'HEAD')}")
    if url and not url.startswith("file:"):
        return shlex.quote(f"{NAME}[{extra}] @ {url}")
    path = Path(unquote(urlsplit(url).path)) if url else _wheel()
    if path.exists():
        return shlex.quote(f"{path}[{extra}]")
    return f"{shlex.quote(f'{path.name}[{extra}]')}   # in the folder that holds {path.name}"


def _wheel() -> Path:
    return Path(f"drsn_edge-{__version__}-py3-none-any.whl")


def _origin(installed: Distribution | None) -> dict[str, Any]:
    """Return pip's record of the origin of an installation (PEP 610); empty without a record."""
    text = None if installed is None else installed.read_text("direct_url.json")
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
