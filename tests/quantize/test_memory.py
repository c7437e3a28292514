from __future__ import annotations

import keras
import numpy as np

from quantize.convert import to_int8
from quantize.tflite.memory import peak_activation_bytes


def converted(model: keras.Model) -> bytes:
    return to_int8(model, np.random.default_rng(0).standard_normal((4, *model.input_shape[1:])).astype(np.float32)).data


def test_a_chain_needs_its_largest_pair_of_neighbours() -> None:
    inputs = keras.Input((1, 100, 1))
    x = keras.layers.Conv2D(4, (1, 3), strides=(1, 2), padding="same")(inputs)
    outputs = keras.layers.Conv2D(2, (1, 3), padding="same")(x)
    assert peak_activation_bytes(converted(keras.Model(inputs, outputs))) == 50 * 4 + 50 * 2


def test_what_a_shortcut_keeps_alive_counts_until_it_is_used() -> None:
    inputs = keras.Input((1, 100, 4))
    x = keras.layers.Conv2D(4, (1, 3), padding="same", activation="relu")(inputs)
    y = keras.layers.Conv2D(4, (1, 3), padding="same", activation="relu")(x)
    outputs = keras.layers.Conv2D(4, (1, 3), padding="same")(y) + x
    assert peak_activation_bytes(converted(keras.Model(inputs, outputs))) == 3 * 400
