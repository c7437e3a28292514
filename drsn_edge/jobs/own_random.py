"""Random numbers of a job that other threads of its process cannot disturb.

A Dask worker draws from Python's generator in threads of its own, between the numbers that Keras draws for its initial
weights: the same seed would give another network each time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


class _OfThread(threading.local):
    """The generator of the present thread; None: that of the process."""

    generator: random.Random | None = None


_of_thread = _OfThread()


@contextmanager
def own_random() -> Iterator[None]:
    """Let the functions of `random` draw from a generator of this thread's own inside the block."""
    _divide()
    before, _of_thread.generator = _of_thread.generator, random.Random()
    try:
        yield
    finally:
        _of_thread.generator = before


@cache
def _divide() -> None:
    """Replace the functions of `random` that share a generator, once in a process."""
    for name in random.__all__:
        shared = getattr(random, name)
        if isinstance(getattr(shared, "__self__", None), random.Random):
            setattr(random, name, _divided(name, shared))


def _divided(name: str, shared: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:
        generator = _of_thread.generator
        return (shared if generator is None else getattr(generator, name))(*args, **kwargs)

    return draw
