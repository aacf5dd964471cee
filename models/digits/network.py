"""A small convolutional network for 8 x 8 pixels: 1,224 kernel weights, 3,336 multiplications, logits out."""

import keras


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, strides=2, use_bias=False, name="conv0"),
            keras.layers.BatchNormalization(name="norm0"),
            keras.layers.Activation("relu", name="relu0"),
            keras.layers.Conv2D(16, 2, use_bias=False, name="conv1"),
            keras.layers.BatchNormalization(name="norm1"),
            keras.layers.Activation("relu", name="relu1"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(10, name="logits"),
        ]
    )
