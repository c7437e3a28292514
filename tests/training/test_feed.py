from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.datasets.span import Span, Split
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.windows import Scaling
from drsn_edge.training.feed import Feed, ahead, batched
from drsn_edge.training.settings import ResearchSettings, TrainSettings

CONTRACT = SignalContract(1000.0, ("x",), "g", 64, 32, Scaling())
SETTINGS = TrainSettings("time=0.2", window=64, research=ResearchSettings(batch_size=8))


@pytest.fixture
def split(make_recording: Any) -> Split:
    spans = tuple(Span(make_recording(label, label=label), 0, 1000) for label in ("a", "b"))
    return Split(spans, (), (), "", ("a", "b"))


@given(count=st.integers(2, 300), batch_size=st.integers(2, 64))
def test_batches_are_of_one_size_and_hold_each_index(count: int, batch_size: int) -> None:
    batches = batched(np.random.default_rng(0).permutation(count), batch_size)
    assert batches.shape == (-(-count // min(count, batch_size)), min(count, batch_size))
    seen = np.bincount(batches.ravel(), minlength=count)
    assert len(seen) == count and seen.min() == 1 and seen.max() <= 2
    assert (seen == 2).sum() < batch_size


def test_batches_by_hand() -> None:
    assert batched(np.array([3, 1, 4, 0, 2]), 2).tolist() == [[3, 1], [4, 0], [2, 3]]
    assert batched(np.array([1, 0]), 64).tolist() == [[1, 0]]


def test_an_epoch_follows_from_seed_and_number_alone(split: Split) -> None:
    feed = Feed(split, SETTINGS, CONTRACT)
    first = feed.epoch(3)
    feed.epoch(1)
    again = feed.epoch(3)
    np.testing.assert_array_equal(first.inputs, Feed(split, SETTINGS, CONTRACT).epoch(3).inputs)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.inputs.shape == (8, 8, 1, 64, 1) and first.labels.shape == (8, 8)
    for other in (feed.epoch(4), Feed(split, replace(SETTINGS, seed=1), CONTRACT).epoch(3)):
        assert not np.array_equal(first.inputs, other.inputs)


def test_labels_stay_with_their_windows(make_recording: Any) -> None:
    """Of two classes one is silent: after scaling its windows are zero, and the other's have RMS 1."""
    silent = Span(make_recording("a", label="a", samples=np.zeros((700, 1), np.float32)), 0, 700)
    loud = Span(make_recording("b", label="b"), 0, 1000)
    batches = Feed(Split((silent, loud), (), (), "", ("a", "b")), SETTINGS, CONTRACT).epoch(1)
    np.testing.assert_array_equal(np.abs(batches.inputs).max(axis=(2, 3, 4)) > 0, batches.labels == 1)


def test_ahead_yields_in_order_whatever_the_length() -> None:
    for count in range(5):
        assert list(ahead(lambda number: number * 2, range(count))) == [2 * number for number in range(count)]


def test_the_next_is_made_while_the_caller_works() -> None:
    made = threading.Event()

    def make(number: int) -> int:
        if number == 1:
            made.set()
        return number

    with closing(ahead(make, range(3))) as feed:
        assert next(feed) == 0
        assert made.wait(10.0)


def test_no_more_than_one_is_made_ahead() -> None:
    made: list[int] = []
    with closing(ahead(lambda number: made.append(number) or number, range(100))) as feed:
        for expected in range(3):
            assert next(feed) == expected
            time.sleep(0.05)
            assert len(made) <= expected + 2


def test_an_error_while_making_is_raised_to_the_caller() -> None:
    def make(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError
        return number

    feed = ahead(make, range(3))
    assert next(feed) == 0
    with pytest.raises(ZeroDivisionError):
        next(feed)
    assert no_thread_is_left()


def test_closing_ends_the_thread() -> None:
    feed = ahead(lambda number: number, range(1000))
    next(feed)
    feed.close()
    assert no_thread_is_left()


def no_thread_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("windows")]
