from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.datasets.span import Span, Split
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.windows import Scaling, scale_windows
from drsn_edge.training import augment as augment_module
from drsn_edge.training import feed as feed_module
from drsn_edge.training.augment import augment, with_axis_dropout, with_random_gain, with_random_polarity
from drsn_edge.training.feed import Feed
from drsn_edge.training.settings import ResearchSettings, TrainSettings

STRONG = ResearchSettings(scaling="fixed", gain_range_db=6.0, axis_dropout=0.5)


def noise(count: int = 400, window: int = 16, axes: int = 3) -> Any:
    return np.random.default_rng(5).normal(2.0, 1.0, (count, window, axes)).astype(np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_gain_is_one_factor_per_window_within_its_range() -> None:
    windows = noise()
    changed = with_random_gain(windows, 6.0, rng())
    factors = changed / windows
    np.testing.assert_allclose(factors, factors[:, :1, :1] * np.ones_like(windows), rtol=1e-5)
    gain_db = 20 * np.log10(factors[:, 0, 0])
    assert -6.001 <= gain_db.min() < -5.5 and 5.5 < gain_db.max() <= 6.001
    assert abs(gain_db.mean()) < 0.7


def test_gain_is_taken_away_by_rms_scaling_and_not_by_fixed() -> None:
    windows = noise()
    changed = with_random_gain(windows, 20.0, rng())
    np.testing.assert_allclose(
        scale_windows(changed, Scaling("rms")), scale_windows(windows, Scaling("rms")), atol=1e-4
    )
    assert not np.allclose(scale_windows(changed, Scaling("fixed")), scale_windows(windows, Scaling("fixed")), atol=0.1)


def test_polarity_turns_whole_windows() -> None:
    windows = noise()
    turned = with_random_polarity(windows, rng())
    signs = turned / windows
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert (signs == signs[:, :1, :1]).all()
    assert 0.4 < (signs[:, 0, 0] < 0).mean() < 0.6


@given(share=st.floats(0, 1), axes=st.integers(1, 4), seed=st.integers(0, 99))
def test_axis_dropout_takes_at_most_one_axis_and_never_all(share: float, axes: int, seed: int) -> None:
    windows = noise(50, axes=axes)
    left = with_axis_dropout(windows, share, rng(seed))
    silent = (left == 0).all(axis=1)
    assert silent.sum(axis=1).max() <= (axes > 1)
    np.testing.assert_array_equal(left[~np.repeat(silent[:, None], 16, 1)], windows[~np.repeat(silent[:, None], 16, 1)])


def test_axis_dropout_hits_its_share_and_every_axis() -> None:
    silent = (with_axis_dropout(noise(900), 0.5, rng()) == 0).all(axis=1)
    assert 0.44 < silent.any(axis=1).mean() < 0.56
    assert silent.sum(axis=0).min() > 100
    assert (with_axis_dropout(noise(50), 1.0, rng()) == 0).all(axis=1).any(axis=1).all()
    np.testing.assert_array_equal(with_axis_dropout(noise(50), 0.0, rng()), noise(50))


def test_what_is_off_changes_nothing_and_draws_nothing() -> None:
    generator = rng()
    windows = noise()
    assert augment(windows, TrainSettings("time=0.2"), generator) is windows
    assert generator.bit_generator.state == rng().bit_generator.state


def test_all_of_them_keep_shape_and_type() -> None:
    settings = TrainSettings("time=0.2", polarity=True, research=STRONG)
    changed = augment(noise(), settings, rng())
    assert changed.shape == noise().shape and changed.dtype == np.float32


def test_the_order_is_cut_and_speed_gain_polarity_dropout_noise_scale(
    make_recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def spy(module: Any, name: str) -> None:
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: (order.append(name), real(*args))[1])

    augmentations = ("with_random_gain", "with_random_polarity", "with_axis_dropout")
    for name in augmentations:
        spy(augment_module, name)
    for name in ("draw_spans", "with_random_noise", "network_input"):
        spy(feed_module, name)
    split, settings, contract = small_split(make_recording)
    Feed(split, replace(settings, polarity=True, research=STRONG), contract).epoch(1)
    assert order == ["draw_spans", *augmentations, "with_random_noise", "network_input"]


def small_split(make_recording: Any) -> tuple[Split, TrainSettings, SignalContract]:
    samples = noise(1, 1000, 2)[0]
    spans = tuple(
        Span(make_recording(label, label=label, samples=samples, axes=("x", "y")), 0, 1000) for label in ("a", "b")
    )
    settings = TrainSettings("time=0.2", window=64, research=ResearchSettings(batch_size=8))
    return Split(spans, (), (), "", ("a", "b")), settings, SignalContract(1000.0, ("x", "y"), "g", 64, 32, Scaling())
