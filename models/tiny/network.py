"""A small network for trying the whole loop: 6-8-5, logits out."""

import keras


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="fc0"),
            keras.layers.Dense(5, name="logits"),
        ]
    )
