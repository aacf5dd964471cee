"""Small networks, each around one kind of layer: whatever follows networks is tested on every one of them."""

import pytest

from flow.topology import Activation, Conv, Dense, Merge, Pool, Reshape, Scale, Topology

IMAGE, STEPS = (6, 6, 2), (10, 3)


def _image(*layers, flat: int) -> Topology:
    return Topology((*layers, Reshape("flat", (flat,)), Dense("out", flat, 3)), IMAGE)


def _steps(*layers, flat: int) -> Topology:
    return Topology((*layers, Reshape("flat", (flat,)), Dense("out", flat, 3)), STEPS)


NETWORKS: dict[str, Topology] = {
    "dense": Topology((Dense("fc0", 4, 6, "relu"), Dense("fc1", 6, 5, "relu"), Dense("out", 5, 3))),
    "dense without bias": Topology((Dense("fc0", 4, 6, "relu", bias=False), Dense("out", 6, 3))),
    "dense normalized": Topology((Dense("fc0", 4, 6, "relu", normalized=True), Dense("out", 6, 3))),
    "tanh": Topology((Dense("fc0", 4, 6, "tanh"), Dense("out", 6, 3))),
    "sigmoid": Topology((Dense("fc0", 4, 6, "sigmoid"), Dense("out", 6, 3))),
    "scale": Topology(
        (Dense("fc0", 4, 6, "relu"), Scale("norm", (6,)), Activation("grid", (6,), "linear"), Dense("out", 6, 3))
    ),
    "conv1d valid": _steps(Conv("conv", STEPS, 4, (3,), (1,), "valid", "relu"), flat=32),
    "conv1d same, stride 2": _steps(Conv("conv", STEPS, 4, (3,), (2,), "same", "relu"), flat=20),
    "conv2d valid": _image(Conv("conv", IMAGE, 3, (3, 3), (1, 1), "valid", "relu"), flat=48),
    "conv2d same": _image(Conv("conv", IMAGE, 3, (3, 3), (1, 1), "same", "relu"), flat=108),
    "conv2d stride 2": _image(Conv("conv", IMAGE, 3, (2, 3), (2, 2), "same", "relu"), flat=27),
    "conv2d normalized": _image(Conv("conv", IMAGE, 3, (3, 3), (2, 2), "valid", "relu", normalized=True), flat=12),
    "depthwise": _image(Conv("conv", IMAGE, 2, (3, 3), (1, 1), "valid", "relu", depthwise=True), flat=32),
    "separable": _image(
        Conv("conv_depthwise", IMAGE, 2, (3, 3), (1, 1), "same", bias=False, depthwise=True),
        Conv("conv_pointwise", IMAGE, 3, (1, 1), (1, 1), "valid", "relu"),
        flat=108,
    ),
    "max pooling": _image(
        Conv("conv", IMAGE, 3, (3, 3), (1, 1), "valid", "relu"), Pool("pool", (4, 4, 3), (2, 2), (2, 2)), flat=12
    ),
    "average pooling": _image(
        Conv("conv", IMAGE, 3, (3, 3), (1, 1), "valid", "relu"),
        Pool("pool", (4, 4, 3), (2, 2), (2, 2), "average"),
        flat=12,
    ),
    "pooling 1d": _steps(
        Conv("conv", STEPS, 4, (3,), (1,), "valid", "relu"), Pool("pool", (8, 4), (2,), (2,)), flat=16
    ),
    "global max": Topology(
        (
            Conv("conv", IMAGE, 4, (3, 3), (1, 1), "valid", "relu"),
            Pool("pool", (4, 4, 4), (4, 4), (4, 4), "max", True),
            Dense("out", 4, 3),
        ),
        IMAGE,
    ),
    "global average": Topology(
        (
            Conv("conv", STEPS, 4, (3,), (1,), "valid", "relu"),
            Pool("pool", (8, 4), (8,), (8,), "average", True),
            Dense("out", 4, 3),
        ),
        STEPS,
    ),
    "add": Topology(
        (
            Dense("fc0", 4, 6, "relu"),
            Dense("left", 6, 6, "linear", ("fc0",)),
            Merge("sum", (6,), "add", ("left", "fc0")),
            Activation("rectified", (6,), "relu", ("sum",)),
            Dense("out", 6, 3),
        )
    ),
    "concatenate": Topology(
        (
            Dense("left", 4, 3, "relu", ("input",)),
            Dense("right", 4, 2, "relu", ("input",)),
            Merge("both", (5,), "concatenate", ("left", "right")),
            Dense("out", 5, 3),
        )
    ),
    "reshape": Topology(
        (
            Dense("fc0", 4, 8, "relu"),
            Reshape("grid", (2, 2, 2)),
            Conv("conv", (2, 2, 2), 3, (2, 2), (1, 1), "same", "relu"),
            Reshape("flat", (12,)),
            Dense("out", 12, 3),
        )
    ),
    "residual": _image(
        Conv("conv0", IMAGE, 3, (3, 3), (2, 2), "same", "relu"),
        Conv("conv1", (3, 3, 3), 3, (3, 3), (1, 1), "same", "linear", ("conv0",)),
        Merge("sum", (3, 3, 3), "add", ("conv1", "conv0")),
        Activation("rectified", (3, 3, 3), "relu", ("sum",)),
        flat=27,
    ),
}


def fast_or_slow(fast: tuple[str, ...], names=NETWORKS) -> list:
    """Names of networks for `parametrize`: all but these few are for when there is time."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]
