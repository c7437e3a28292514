"""Bundles for measurements of the monitor: synthetic windows get a class, as those of a healthy machine do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drsn_edge.bundle.bundle import Bundle, with_extra
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.signal.novelty import MEMBER, novelty_to_bytes


def calling_all_known(bundle: Bundle) -> Bundle:
    """Return a bundle that does the same work for a window, and calls none unknown or turned."""
    novelty = novelty_of(bundle)
    if novelty is None:
        return bundle
    mounting = None if novelty.mounting is None else replace(novelty.mounting, limit=1e-6)
    wide = replace(novelty, limits=np.full_like(novelty.limits, 1e6), mounting=mounting)
    return with_extra(bundle, MEMBER, novelty_to_bytes(wide))
