from __future__ import annotations

import resource
import sys

import numpy as np
import pytest
from refusals import refused

from drsn_edge.support.invalid import InvalidValueError
from drsn_edge.support.memory_limit import at_most

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a limit")


@linux
def test_more_than_the_limit_is_refused_and_less_is_not() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with at_most(256 << 20):
        assert np.zeros(8 << 20, np.uint8).size
    with refused(InvalidValueError, "asks_for_memory", limit_bytes=64 << 20), at_most(64 << 20):
        np.zeros(1 << 30, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.zeros(1 << 30, np.uint8).size


@linux
def test_a_library_that_puts_it_in_words_of_its_own() -> None:
    with refused(InvalidValueError, "asks_for_memory"), at_most(64 << 20):
        raise OSError("Can't synchronously read data (memory allocation failed for chunk)")


def test_other_errors_pass() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(KeyError), at_most(64 << 20):
        raise KeyError("name")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@linux
def test_a_limit_inside_another_never_raises_it() -> None:
    with at_most(64 << 20):
        outer = resource.getrlimit(resource.RLIMIT_AS)
        with at_most(1 << 30):
            assert resource.getrlimit(resource.RLIMIT_AS) == outer
        assert resource.getrlimit(resource.RLIMIT_AS) == outer
