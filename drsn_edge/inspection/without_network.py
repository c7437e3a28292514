"""What a bundle without a network knows, as plain JSON values of a report and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.golden_novelty import GoldenNovelty, golden_novelty_of
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.evaluation.early import MEMBER as EARLY
from drsn_edge.evaluation.early import early_of, early_text, early_to_json, found_early
from drsn_edge.signal.novelty import Novelty
from drsn_edge.support.wording import counted


def novelty_to_json(bundle: Bundle) -> dict[str, Any]:
    """Return what a bundle without a network knows of a healthy machine, and how this machine computes it.

    Raises:
        BundleError: If novelty or golden windows are damaged.
    """
    novelty, contract = novelty_of(bundle), bundle.manifest.contract
    assert novelty is not None  # `read_bundle` refuses a bundle without network and novelty
    golden = golden_novelty_of(bundle)
    return {
        "references": len(novelty.prototypes),
        "bands": novelty.lines,
        "axes": list(contract.axes),
        "unit": contract.unit,
        "quietest_rms": novelty.quietest_rms,
        "loudest_rms": novelty.loudest_rms if math.isfinite(novelty.loudest_rms) else None,
        "golden": None if golden is None else _golden_to_json(golden, novelty),
        "names": list(bundle.manifest.labels[1:]),
        "early": None if EARLY not in bundle.extras else early_to_json(early_of(bundle.extras[EARLY])),
    }


def _golden_to_json(golden: GoldenNovelty, novelty: Novelty) -> dict[str, Any]:
    deviation = golden.deviation(novelty.novelty(golden.windows()))
    return {
        "windows": len(golden.novelties),
        "lowest": float(golden.novelties.min()),
        "highest": float(golden.novelties.max()),
        "deviation": deviation if math.isfinite(deviation) else None,
    }


def rows_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of `novelty_to_json` in words, by what they are about."""
    loudest = "any level" if values["loudest_rms"] is None else f"{values['loudest_rms']:.3g} {values['unit']} RMS"
    rows = {
        "network": "none: NumPy judges a window by its novelty, on every processor",
        "novelty": f"{counted(values['references'], 'reference')} of {values['bands']} bands of each axis "
        f"({', '.join(values['axes'])})",
        "levels": f"{values['quietest_rms']:.3g} {values['unit']} RMS to {loudest}",
    }
    golden = values["golden"]
    if golden is not None:
        here = "no finite numbers" if golden["deviation"] is None else f"a deviation of {golden['deviation']:.2g}"
        words = f"{golden['windows']}, with novelties of {golden['lowest']:.2f} to {golden['highest']:.2f} of the limit"
        rows["golden"] = f"{words}; {here} on this machine"
    if values.get("names"):
        rows["names"] = f"{', '.join(values['names'])}; with the shaft speed (--rpm)"
    return rows


def early_lines(values: Mapping[str, Any]) -> list[str]:
    """Return how early faults are announced, and how often wrongly, as lines; none if the bundle does not say it."""
    return [] if values.get("early") is None else early_text(found_early(values["early"]))
