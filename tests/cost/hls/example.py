"""Networks that several tests predict."""

import itertools
from dataclasses import replace

from flow.cost import hls

SIZES = (16, 64, 32, 32, 5)


def dense(
    *sizes: int,
    weight_bits: int | None = 8,
    data_bits: int | None = 16,
    reuse_factor: int | None = 1,
    strategy: hls.Strategy | None = hls.Strategy.LATENCY,
    zeros: float = 0.0,
    **more,
) -> hls.Network:
    """Dense layers, for the tool and part that most records are of unless told otherwise."""
    layers = tuple(
        hls.Layer(
            hls.Kind.DENSE,
            a,
            b,
            f"fc{i}",
            weight_bits=weight_bits,
            weight_int=1,
            data_bits=data_bits,
            reuse_factor=reuse_factor,
            strategy=strategy,
            zeros=zeros,
        )
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    )
    usual = hls.Network(
        layers, hls.IoType.PARALLEL, hls.Tool.VIVADO_HLS, "2020.1", "xcu250-figd2104-2L-e", 5.0, "example", "0.8.1"
    )
    return replace(usual, **more)


def resource(*sizes: int, reuse_factor: int, **more) -> hls.Network:
    """Dense layers with the Resource strategy."""
    return dense(*sizes, reuse_factor=reuse_factor, strategy=hls.Strategy.RESOURCE, **more)
