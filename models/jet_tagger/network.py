"""The jet tagger of arXiv 2006.10159: 16-64-32-32-5, logits out."""

import keras


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(64, activation="relu", name="fc0"),
            keras.layers.Dense(32, activation="relu", name="fc1"),
            keras.layers.Dense(32, activation="relu", name="fc2"),
            keras.layers.Dense(5, name="logits"),
        ]
    )
