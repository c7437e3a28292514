"""Run in a process of their own, since they change the module `random`."""

from __future__ import annotations

import random
import threading

from drsn_edge.jobs.own_random import own_random
from drsn_edge.jobs.run import run_jobs


def drawn(seed: int) -> tuple[list[int], int]:
    """Return what a thread draws while others draw in between, and what it draws afterwards."""
    with own_random():
        random.seed(seed)
        found = [_after_others() for _ in range(20)]
    random.seed(seed)
    return found, random.randint(1, 10**9)


def _after_others() -> int:
    other = threading.Thread(target=random.random)
    other.start()
    other.join()
    return random.randint(1, 10**9)


def test_other_threads_do_not_disturb_what_a_seed_gives() -> None:
    ((_, (found, afterwards)),) = run_jobs(drawn, [3], workers=1)
    expected = random.Random(3)
    assert found == [expected.randint(1, 10**9) for _ in range(20)]
    assert afterwards == found[0]
