"""Compare the ranks of candidates after the short training of a search with those after the whole training.

    drsn-edge search --data recordings/adi_mfs_mems --hold-out rpm=1800 --out found/
    python benchmarks/search_ranks.py found/search.json --results docs/results/search_ranks.json

A search drops a family that is far behind after its short training, which is right only if the ranks agree.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def ranks(search: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the two rankings of the candidates agree that were trained to the end.

    Args:
        search: Contents of a `search.json`.
    """
    from scipy.stats import spearmanr

    most = max(each["epochs"] for each in search["candidates"] if each["choosable"])
    whole = [each for each in search["candidates"] if each["choosable"] and each["epochs"] == most]
    best, short_best = (max(whole, key=key) for key in (_score, _short_score))
    correlation = spearmanr([_short_score(each) for each in whole], [_score(each) for each in whole]).statistic
    return {
        "hold_out": search["hold_out"],
        "candidates": len(whole),
        "families": sorted({each["family"] for each in whole}),
        "rank_correlation": round(float(correlation), 3),
        "best": best["name"],
        "best_score": round(_score(best), 4),
        "best_after_short_training": short_best["name"],
        "its_score": round(_score(short_best), 4),
    }


def _score(candidate: Mapping[str, Any]) -> float:
    return float(candidate["score"]["mean"])


def _short_score(candidate: Mapping[str, Any]) -> float:
    return float(candidate["short_score"])


def main() -> None:
    """Print the comparison of each search, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("searches", type=Path, nargs="+", metavar="FILE", help="search.json of a search")
    parser.add_argument("--results", type=Path, required=True, metavar="FILE", help="JSON file to write")
    arguments = parser.parse_args()
    found = [ranks(json.loads(path.read_text(encoding="utf-8"))) for path in arguments.searches]
    for each in found:
        print(
            f"{each['hold_out']}: {each['candidates']} candidates of {', '.join(each['families'])}, rank correlation "
            f"{each['rank_correlation']}, best {each['best_score']}, best after the short training {each['its_score']}"
        )
    arguments.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
