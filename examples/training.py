"""Train one network on images and measure its accuracy on test images. All networks have the same recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from digits import Images, Split

from drsn_edge.errors import DivergedError
from drsn_edge.models.config import DrsnConfig
from drsn_edge.models.drsn import build_model
from drsn_edge.training.fit import learning_rates

BATCH_SIZE = 100
"""Images per batch, as in the Keras article."""

PEAK_LEARNING_RATE = 0.01
"""Peak of Adam's learning rate in the product's schedule, which falls to 0, so that the moving statistics of batch
normalization settle. With a constant 0.0075, a network with a training loss of 0.63 classified only a quarter of its
training images correctly."""


def test_accuracy(network: DrsnConfig, split: Split, seed: int, epochs: int, progress: Callable[[], None]) -> float:
    """Train a network and return its accuracy on the test images after the last epoch, 0 to 1.

    The test images are used once, at the end: nothing is chosen by them.

    Args:
        network: Configuration of the network.
        split: Noisy images.
        seed: Seed of the initial weights and of the order of the images.
        epochs: Passes over the training images.
        progress: Called after each epoch.

    Raises:
        DivergedError: If the loss is no longer finite.
    """
    model = _compiled(network, seed, epochs * (len(split.train) // BATCH_SIZE))
    for epoch in range(epochs):
        _train_epoch(model, split.train, np.random.default_rng((seed, epoch)))
        progress()
    logits = model.predict(split.test.pixels, batch_size=500, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == split.test.labels))


def _compiled(network: DrsnConfig, seed: int, steps: int) -> Any:
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = build_model(network)
    model.compile(
        keras.optimizers.Adam(learning_rates(PEAK_LEARNING_RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # compiling takes longer than the training
    )
    return model


def _train_epoch(model: Any, images: Images, random: np.random.Generator) -> None:
    """Train on complete batches in random order; the images of an incomplete last batch are skipped in this epoch."""
    order = random.permutation(len(images))
    for first in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
        batch = order[first : first + BATCH_SIZE]
        loss = float(model.train_on_batch(images.pixels[batch], images.labels[batch]))
        if not math.isfinite(loss):
            raise DivergedError(f"The loss became {loss}. Train again with another seed.", "loss", got=loss)
